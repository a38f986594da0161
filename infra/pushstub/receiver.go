package pushstub

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// Receiver has the keys of a browser's subscription. It decrypts with the standard library alone, so that it shares no
// code with the sender. The zero value has no keys; create it with NewReceiver.
type Receiver struct {
	private *ecdh.PrivateKey
	secret  []byte
}

// NewReceiver returns a receiver with new keys.
func NewReceiver() (*Receiver, error) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	r := &Receiver{private: private, secret: make([]byte, 16)}
	_, err = rand.Read(r.secret)
	return r, err
}

// Keys returns what the browser gives the server, in base64url.
func (r *Receiver) Keys() (p256dh, auth string) {
	return base64.RawURLEncoding.EncodeToString(r.private.PublicKey().Bytes()),
		base64.RawURLEncoding.EncodeToString(r.secret)
}

// Lengths in bytes of the parts of an encrypted push (RFC 8188, section 2.1).
const (
	saltSize   = 16
	headerSize = saltSize + 4 + 1 // the record size and the length of the key follow the salt
)

// Decrypt returns the content of a push (RFC 8291, and RFC 8188 with one record).
func (r *Receiver) Decrypt(body []byte) ([]byte, error) {
	if len(body) < headerSize {
		return nil, fmt.Errorf("a push of %d bytes", len(body))
	}
	salt, size, keySize := body[:saltSize], binary.BigEndian.Uint32(body[saltSize:]), int(body[headerSize-1])
	if len(body) < headerSize+keySize {
		return nil, errors.New("the push ends in its header")
	}
	sender, err := ecdh.P256().NewPublicKey(body[headerSize : headerSize+keySize])
	if err != nil {
		return nil, fmt.Errorf("the key of the sender: %w", err)
	}
	record := body[headerSize+keySize:]
	if len(record) > int(size) {
		return nil, errors.New("the push has more than one record")
	}
	shared, err := r.private.ECDH(sender)
	if err != nil {
		return nil, err
	}
	info := "WebPush: info\x00" + string(r.private.PublicKey().Bytes()) + string(sender.Bytes())
	input, err := hkdf.Key(sha256.New, shared, r.secret, info, 32)
	if err != nil {
		return nil, err
	}
	key, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: aes128gcm\x00", 16)
	if err != nil {
		return nil, err
	}
	nonce, err := hkdf.Key(sha256.New, input, salt, "Content-Encoding: nonce\x00", 12)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	padded, err := gcm.Open(nil, nonce, record, nil)
	if err != nil {
		return nil, err
	}
	for i := len(padded) - 1; i >= 0; i-- {
		switch padded[i] {
		case 0:
		case 2: // the delimiter of the last record
			return padded[:i], nil
		default:
			return nil, errors.New("the padding is not valid")
		}
	}
	return nil, errors.New("the push has only padding")
}
