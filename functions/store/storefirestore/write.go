package storefirestore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// maxWrites limits the writes of one request. Firestore accepts 500.
const maxWrites = 400

// write is one write.
type write struct {
	*firestorepb.Write
	fine codes.Code // an error that counts as success; codes.OK: none
	// done, if not nil, gets the results of the transforms in Write.
	done func(results []*firestorepb.Value)
}

// writeAll applies writes that are independent of each other. No two of them may be to one document. They are not
// atomic: after an error, any of them may have been applied. It returns the indexes of the writes that failed with
// write.fine.
//
// (The client's BulkWriter repeats a write ten times, whatever the error, and does not report its code.)
func (s *Store) writeAll(ctx context.Context, writes []write) (refused []int, err error) {
	ctx = metadata.AppendToOutgoingContext(ctx, "google-cloud-resource-prefix", s.root) // as the client does
	todo := make([]int, len(writes))
	for i := range todo {
		todo[i] = i
	}
	for part := range slices.Chunk(todo, maxWrites) {
		for try := 0; len(part) > 0; try++ {
			again, fine, err := s.writeSome(ctx, writes, part)
			if err != nil {
				return nil, err
			}
			refused = append(refused, fine...)
			if part = again; len(part) == 0 {
				break
			}
			if try == 4 {
				return nil, problem.ErrUnavailable.WithCause(fmt.Errorf("firestore: %d writes conflicted with others five times",
					len(part)))
			}
			select {
			case <-ctx.Done():
				return nil, problem.ErrUnavailable.WithCause(ctx.Err())
			case <-time.After(time.Duration(20<<try) * time.Millisecond):
			}
		}
	}
	return refused, nil
}

// writeSome applies the writes at some indexes. It returns the indexes of the writes that conflicted with another
// writer and should be tried again, and of those that failed with write.fine.
func (s *Store) writeSome(ctx context.Context, writes []write, indexes []int) (again, fine []int, err error) {
	req := &firestorepb.BatchWriteRequest{Database: s.root}
	for _, i := range indexes {
		req.Writes = append(req.Writes, writes[i].Write)
	}
	resp, err := s.raw.BatchWrite(ctx, req)
	if err != nil {
		return nil, nil, translate(err)
	}
	if len(resp.GetStatus()) != len(indexes) {
		return nil, nil, fmt.Errorf("firestore: %d writes, but %d statuses", len(indexes), len(resp.GetStatus()))
	}
	for n, st := range resp.GetStatus() {
		i := indexes[n]
		switch code := codes.Code(st.GetCode()); code {
		case codes.OK:
			if writes[i].done != nil {
				writes[i].done(resp.GetWriteResults()[n].GetTransformResults())
			}
		case writes[i].fine:
			fine = append(fine, i)
		case codes.Aborted:
			again = append(again, i)
		default:
			return nil, nil, translate(status.Errorf(code, "write: %s", st.GetMessage()))
		}
	}
	return again, fine, nil
}

// name returns the full name of a document.
func (s *Store) name(path string) string { return s.root + "/documents/" + path }

// create returns a write that creates a document. If the document exists, the write fails with write.fine.
func (s *Store) create(path string, fields map[string]*firestorepb.Value) write {
	return write{&firestorepb.Write{
		Operation:       &firestorepb.Write_Update{Update: &firestorepb.Document{Name: s.name(path), Fields: fields}},
		CurrentDocument: &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}},
	}, codes.AlreadyExists, nil}
}

// merge returns a write that sets some fields of a document and raises others. It creates the document if it is
// missing.
func (s *Store) merge(path string, set map[string]*firestorepb.Value, raise map[string]chat.Micros) write {
	w := &firestorepb.Write{
		Operation:  &firestorepb.Write_Update{Update: &firestorepb.Document{Name: s.name(path), Fields: set}},
		UpdateMask: &firestorepb.DocumentMask{},
	}
	for field := range set {
		w.UpdateMask.FieldPaths = append(w.UpdateMask.FieldPaths, field)
	}
	for field, to := range raise {
		w.UpdateTransforms = append(w.UpdateTransforms, &firestorepb.DocumentTransform_FieldTransform{FieldPath: field,
			TransformType: &firestorepb.DocumentTransform_FieldTransform_Maximum{Maximum: integer(to)}})
	}
	return write{w, codes.OK, nil}
}

// addToArray makes a write of merge also add values to an array that does not have them.
func (w write) addToArray(field string, values []string) {
	array := &firestorepb.ArrayValue{}
	for _, v := range values {
		array.Values = append(array.Values, text(v))
	}
	w.UpdateTransforms = append(w.UpdateTransforms, &firestorepb.DocumentTransform_FieldTransform{FieldPath: field,
		TransformType: &firestorepb.DocumentTransform_FieldTransform_AppendMissingElements{AppendMissingElements: array}})
}

// raised makes a write of merge also report a field of the document that is only raised. It returns a function that
// returns the field after the write, 0 if the document does not have it.
func (w *write) raised(field string) func() chat.Micros {
	var value chat.Micros
	index := len(w.UpdateTransforms)
	w.UpdateTransforms = append(w.UpdateTransforms, &firestorepb.DocumentTransform_FieldTransform{FieldPath: field,
		TransformType: &firestorepb.DocumentTransform_FieldTransform_Maximum{Maximum: integer(chat.Micros(0))}})
	w.done = func(results []*firestorepb.Value) {
		if index < len(results) {
			value = chat.Micros(results[index].GetIntegerValue())
		}
	}
	return func() chat.Micros { return value }
}

// remove returns a write that deletes a document.
func (s *Store) remove(path string) write {
	return write{&firestorepb.Write{Operation: &firestorepb.Write_Delete{Delete: s.name(path)}}, codes.NotFound, nil}
}

func text(v string) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_StringValue{StringValue: v}}
}

func integer[N ~int64](v N) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_IntegerValue{IntegerValue: int64(v)}}
}

func blob(v []byte) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_BytesValue{BytesValue: v}}
}

func object(fields map[string]*firestorepb.Value) *firestorepb.Value {
	return &firestorepb.Value{ValueType: &firestorepb.Value_MapValue{MapValue: &firestorepb.MapValue{Fields: fields}}}
}

func list(values ...*firestorepb.Value) *firestorepb.Value {
	array := &firestorepb.ArrayValue{Values: values}
	return &firestorepb.Value{ValueType: &firestorepb.Value_ArrayValue{ArrayValue: array}}
}
