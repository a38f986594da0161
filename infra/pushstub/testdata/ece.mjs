// Encrypts and decrypts pushes with the npm package http_ece, and verifies VAPID headers with Node.js: implementations
// that share no code with ours. It reads a request as JSON from standard input, and answers as ece_test.go expects. The
// working directory is web/, which has the package.
import { createECDH, createPublicKey, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const ece = createRequire(join(process.cwd(), "package.json"))("http_ece");
const { decrypt, encrypt, vapid } = JSON.parse(readFileSync(0, "utf8"));
const bytes = (text) => Buffer.from(text, "base64url");

function decrypted({ body, private: key, auth }) {
  const privateKey = createECDH("prime256v1");
  privateKey.setPrivateKey(bytes(key));
  return ece.decrypt(bytes(body), { version: "aes128gcm", privateKey, authSecret: auth }).toString("base64url");
}

function encrypted({ content, public: dh, auth, pad }) {
  const privateKey = createECDH("prime256v1");
  privateKey.generateKeys();
  const options = { version: "aes128gcm", privateKey, dh, authSecret: auth, pad };
  return ece.encrypt(bytes(content), options).toString("base64url");
}

/** The parts of a header whose signature is valid (RFC 8292, section 3). */
function verified(header) {
  const { t, k } = /^vapid t=(?<t>[^, ]+), ?k=(?<k>[\w-]+)$/.exec(header).groups;
  const [head, claims, signature] = t.split(".");
  const point = bytes(k); // 0x04, x, y
  const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((half) => half.toString("base64url"));
  const key = createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
  return {
    valid: verify("sha256", `${head}.${claims}`, { key, dsaEncoding: "ieee-p1363" }, bytes(signature)),
    header: JSON.parse(bytes(head)),
    claims: JSON.parse(bytes(claims)),
    key: k,
  };
}

const answer = { decrypted: decrypt.map(decrypted), encrypted: encrypt.map(encrypted), vapid: verified(vapid) };
process.stdout.write(JSON.stringify(answer));
