package design

import (
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/firestore"
	"github.com/google/uuid"
	"google.golang.org/api/iterator"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/functions/store/storefirestore"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/delivery"
	"github.com/phoenixchat/phoenixchat/realtime/useragent"
)

// document is a row of the Firestore table.
type document struct {
	fields   map[string]bool
	required map[string]bool // without those that are marked as optional
	nested   map[string][]string
}

// documents returns the Firestore table by collection, the last one of a path: "messages" of
// conversations/{id}/messages/{message id}.
func documents(t *testing.T) map[string]document {
	t.Helper()
	all := map[string]document{}
	for path, row := range pageSection(t, 7).table(t, "document").byFirst(t) {
		d := document{fields: map[string]bool{}, required: map[string]bool{}, nested: map[string][]string{}}
		for name, f := range fields(row[1]) {
			d.fields[name] = true
			if !f.optional {
				d.required[name] = true
			}
			if in := append(within(row[1], name), within(row[1], name+"?")...); len(in) > 0 {
				d.nested[name] = in
			}
		}
		all[filepath.Base(filepath.Dir(path))] = d
	}
	return all
}

// firestoreStore is the folder of the Firestore store: the one with the indexes.
func firestoreStore(t *testing.T) string {
	t.Helper()
	for _, dir := range packages(t, "functions") {
		if _, err := os.Stat(filepath.Join(inRepo(t, dir), "firestore.indexes.json")); err == nil {
			return dir
		}
	}
	t.Fatal("no folder below functions/ has firestore.indexes.json")
	return ""
}

// documentTypes returns the structs of a package that are written to Firestore, as sets of field names.
func documentTypes(s *source) map[string][]string {
	all := map[string][]string{}
	for _, f := range s.files {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			st, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range st.Fields.List {
				if field.Tag == nil {
					continue
				}
				tag, _ := strconv.Unquote(field.Tag.Value) // it was parsed
				if name, _, _ := strings.Cut(reflect.StructTag(tag).Get("firestore"), ","); name != "" {
					all[spec.Name.Name] = append(all[spec.Name.Name], name)
				}
			}
			return true
		})
	}
	return all
}

// TestFirestore compares the Firestore table with the collections, the structs and the maps that the store writes.
func TestFirestore(t *testing.T) {
	page := documents(t)
	dir := firestoreStore(t)
	s := parse(t, dir)
	same(t, "collections of Firestore", page, s.constants(t, "col"))

	// Each struct is a row, or what is nested in a field of one, and each row a struct.
	have := documentTypes(s)
	maps.Copy(have, documentTypes(parse(t, "functions/store")))
	structOf := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		found := false
		for collection, d := range page {
			if maps.Equal(d.fields, setOf(have[name]...)) {
				structOf[collection], found = name, true
			}
			for _, in := range d.nested {
				found = found || maps.Equal(setOf(in...), setOf(have[name]...))
			}
		}
		if !found {
			t.Errorf("no row of the table has exactly the fields of %s: %v", name, have[name])
		}
	}
	for _, collection := range slices.Sorted(maps.Keys(page)) {
		if structOf[collection] == "" {
			t.Errorf("no struct of the store has exactly the fields of the row %s: %v", collection,
				slices.Sorted(maps.Keys(page[collection].fields)))
		}
	}

	for _, f := range s.files {
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok {
				s.checkWrites(t, fn, page)
			}
		}
	}
}

// checkWrites compares the names in the maps and updates of a function with the rows of the collections that the
// function names, or with all rows where it names none. A map that creates a document must have all fields that
// are not optional.
func (s *source) checkWrites(t *testing.T, fn *ast.FuncDecl, page map[string]document) {
	t.Helper()
	var named []string
	ast.Inspect(fn, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && strings.HasPrefix(id.Name, "col") {
			if v, ok := s.text(t, id); ok {
				named = append(named, v)
			}
		}
		return true
	})
	rows := named
	if len(rows) == 0 {
		rows = slices.Collect(maps.Keys(page))
	}
	known := func(name string, nested bool) bool {
		return slices.ContainsFunc(rows, func(c string) bool {
			if !nested {
				return page[c].fields[name]
			}
			for _, in := range page[c].nested {
				if slices.Contains(in, name) {
					return true
				}
			}
			return false
		})
	}
	check := func(name string, nested bool) {
		name, _, _ = strings.Cut(name, ".") // read.`uid`
		if !known(name, nested) {
			t.Errorf("%s in %s writes the field %q, and %s does not name it (%v)", fn.Name.Name, s.dir, name, pagePath, named)
		}
	}
	inner := map[*ast.CompositeLit]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			for _, arg := range n.Args {
				lit, ok := arg.(*ast.CompositeLit)
				if !ok {
					continue
				}
				switch method(n) {
				case "object":
					inner[lit] = true
				case "create":
					if len(named) == 0 {
						t.Errorf("%s in %s creates a document of a collection that it does not name", fn.Name.Name, s.dir)
						continue
					}
					same(t, "documents that "+fn.Name.Name+" creates", page[named[len(named)-1]].required,
						setOf(mapKeys(lit)...))
				}
			}
		case *ast.CompositeLit:
			if typ, ok := n.Type.(*ast.MapType); ok && isFieldMap(typ) {
				for _, name := range mapKeys(n) {
					check(name, inner[n])
				}
			}
			if name, ok := updatePath(n); ok {
				check(name, false)
			}
		case *ast.AssignStmt:
			for _, left := range n.Lhs {
				if index, ok := left.(*ast.IndexExpr); ok {
					if name, ok := leading(index.Index); ok {
						check(name, false)
					}
				}
			}
		}
		return true
	})
}

// isFieldMap reports whether a map type is one of values of Firestore or of times to raise fields to.
func isFieldMap(m *ast.MapType) bool {
	v := m.Value
	if star, ok := v.(*ast.StarExpr); ok {
		v = star.X
	}
	sel, ok := v.(*ast.SelectorExpr)
	return ok && (sel.Sel.Name == "Value" || sel.Sel.Name == "Micros")
}

func mapKeys(lit *ast.CompositeLit) (names []string) {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if name, ok := leading(kv.Key); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// leading returns the literal that a string expression begins with.
func leading(e ast.Expr) (string, bool) {
	for {
		switch x := e.(type) {
		case *ast.BinaryExpr:
			e = x.X
		case *ast.BasicLit:
			v, err := strconv.Unquote(x.Value)
			return v, err == nil && x.Kind == token.STRING
		default:
			return "", false
		}
	}
}

// updatePath returns the field of firestore.Update{Path: "name"} or {FieldPath: firestore.FieldPath{"name", uid}}.
func updatePath(lit *ast.CompositeLit) (string, bool) {
	for _, e := range lit.Elts {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		key, ok := kv.Key.(*ast.Ident)
		if !ok {
			continue
		}
		switch path, isLit := kv.Value.(*ast.CompositeLit); {
		case key.Name == "Path":
			return leading(kv.Value)
		case key.Name == "FieldPath" && isLit && len(path.Elts) > 0:
			return leading(path.Elts[0])
		}
	}
	return "", false
}

// TestFirestoreDocuments has the store write every kind of document, and compares what is in the database with the
// table, so that the reading of the source above cannot be wrong without being noticed.
func TestFirestoreDocuments(t *testing.T) {
	host := os.Getenv("PHOENIX_TEST_FIRESTORE")
	if host == "" {
		t.Skip("PHOENIX_TEST_FIRESTORE is not set: no Firestore emulator to test with")
	}
	project := "t" + strings.ReplaceAll(uuid.NewString(), "-", "")[:20]
	s, err := storefirestore.Open(t.Context(), storefirestore.Options{Project: project, EmulatorHost: host})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	writeAll(t, s)

	t.Setenv("FIRESTORE_EMULATOR_HOST", host)
	have := map[string]map[string]any{}
	for _, database := range []string{firestore.DefaultDatabaseID, storefirestore.DefaultAuditDatabase} {
		db, err := firestore.NewClientWithDatabase(t.Context(), project, database)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		found := map[string]map[string]any{}
		readAll(t, found, db.Collections(t.Context()))
		audit := found["audit"] != nil
		if audit != (database == storefirestore.DefaultAuditDatabase) || audit && len(found) > 1 {
			t.Errorf("the database %s has the collections %v", database, slices.Sorted(maps.Keys(found)))
		}
		maps.Copy(have, found)
	}
	page := documents(t)
	same(t, "collections in the database", page, have)
	for collection, d := range page {
		same(t, "documents of "+collection, d.fields, have[collection])
		for field, in := range d.nested {
			value := have[collection][field]
			if list, ok := value.([]any); ok && len(list) > 0 {
				value = list[0]
			}
			values, _ := value.(map[string]any)
			for _, of := range values {
				if one, ok := of.(map[string]any); ok { // by user
					values = one
					break
				}
			}
			same(t, collection+"."+field, setOf(in...), values)
		}
	}
}

// readAll notes the fields of all documents below some collections.
func readAll(t *testing.T, have map[string]map[string]any, collections *firestore.CollectionIterator) {
	t.Helper()
	for {
		c, err := collections.Next()
		if err == iterator.Done {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		docs, err := c.Documents(t.Context()).GetAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			if have[c.ID] == nil {
				have[c.ID] = map[string]any{}
			}
			maps.Copy(have[c.ID], d.Data())
			readAll(t, have, d.Ref.Collections(t.Context()))
		}
	}
}

// writeAll has the store write every kind of document, with every field that it can have.
func writeAll(t *testing.T, s store.Store) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, now := t.Context(), chat.MicrosOf(time.Now())
	for _, uid := range []string{"alice", "bob"} {
		signup, err := s.Reserve(ctx, uid+"@example.org", uid, uid, "attempt", now, time.Minute)
		must(err)
		user := store.User{UID: uid, Username: uid, DisplayName: uid, Email: uid + "@example.org", CreatedAt: now}
		must(s.Commit(ctx, signup, user))
	}
	_, err := s.Reserve(ctx, "carol@example.org", "carol", "carol", "attempt", now, time.Minute)
	must(err)
	picture := store.NewPicture("image/webp", []byte("pixels"))
	_, err = s.SetPicture(ctx, "alice", &picture)
	must(err)
	for _, kind := range []chat.SettingKind{chat.SettingPin, chat.SettingAccept} {
		_, err = s.Choose(ctx, "alice", chat.Setting{Conversation: chat.ConversationID("alice", "bob"), Kind: kind,
			Choice: chat.Choice{Value: 1, At: now, ID: uuid.Must(uuid.NewV7()).String()}}, now)
		must(err)
	}
	_, err = s.SetBlocked(ctx, "alice", "bob", true)
	must(err)
	_, err = s.SetPrivacy(ctx, "alice", chat.Privacy{NoReceipts: true})
	must(err)
	_, err = s.EndOtherSessions(ctx, "alice", now-chat.Micros(time.Minute.Microseconds()), now)
	must(err)
	_, err = s.Subscribe(ctx, "alice",
		store.Subscription{Device: "phone", Endpoint: "https://push.example.org/1", At: now})
	must(err)
	client := useragent.Client{Browser: "Firefox", System: "Linux", Place: "Bern"}
	_, err = s.SetRecoveryCodes(ctx, "alice", []string{store.RecoveryHash("code")}, now, now)
	must(err)
	for _, signIn := range []chat.Micros{now, now + chat.Micros(time.Second.Microseconds())} {
		_, _, err = s.RecordSignIn(ctx, "alice", store.Seen{SignIn: signIn, At: signIn, Client: client})
		must(err)
	}
	_, err = s.SignOutDevice(ctx, "alice", store.Device{First: now}.ID())
	must(err)
	_, err = s.LimitContacts(ctx, "alice", now)
	must(err)
	_, err = s.Warn(ctx, "alice", store.Warning{At: now, Reason: "spam"})
	must(err)
	report := store.Report{ID: "report", Reporter: "alice", About: "bob", At: now, State: store.ReportOpen}
	_, err = s.AddReport(ctx, report)
	must(err)
	other := "alice2"
	_, err = s.Rename(ctx, "alice", &other, nil, now, false)
	must(err)
	_, err = s.BeginErase(ctx, "bob", now)
	must(err)

	conversation := chat.ConversationID("alice", "bob")
	message := chat.Message{ID: uuid.Must(uuid.NewV7()).String(), Conversation: conversation, From: "alice", To: "bob",
		Body: "Hello", At: now, AcceptedAt: now, ReplyTo: chat.KeyOf(uuid.Must(uuid.NewV7()).String(), "bob")}
	_, err = s.Save(ctx, []delivery.Delivered{{Message: message, DeliveredAt: now}},
		[]delivery.Read{{Conversation: conversation, By: "bob", At: now}})
	must(err)
	change := func(of chat.Target, kind chat.ChangeKind, body, emoji string) delivery.Changed {
		return delivery.Changed{Change: chat.Change{ID: uuid.Must(uuid.NewV7()).String(), Conversation: conversation,
			From: "alice", To: "bob", At: now + 1, Of: of, Kind: kind, Body: body, Emoji: emoji}}
	}
	saved := chat.Target{ID: message.ID, From: "alice", At: now}
	missing := chat.Target{ID: uuid.Must(uuid.NewV7()).String(), From: "alice", At: now} // becomes a stub
	must(s.SaveChanges(ctx, store.SumChanges([]delivery.Changed{change(saved, chat.KindEdit, "Hello!", ""),
		change(saved, chat.KindReact, "", "👍"), change(missing, chat.KindDelete, "", "")}), now))

	must(s.AddAudit(ctx, store.Audit{ID: "audit", At: now, By: "alice"}))
	must(s.PutDeadLetters(ctx, []store.DeadLetter{store.NewDeadLetter("letter", now, "malformed", []byte("{}"))}))
	_, _, err = s.Take(ctx, "key", 1, 30, time.Hour, now)
	must(err)
}
