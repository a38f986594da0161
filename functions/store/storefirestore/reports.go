package storefirestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/firestore"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// reportDoc is reports/{id}.
type reportDoc struct {
	Reporter  string      `firestore:"reporter"`
	About     string      `firestore:"about"`
	State     string      `firestore:"state"`
	At        chat.Micros `firestore:"at"`
	Data      []byte      `firestore:"data"`       // store.Report as JSON; the fields above count
	ExpiresAt time.Time   `firestore:"expires_at"` // a TTL policy deletes the document some time later
}

func reportDocOf(r store.Report) (reportDoc, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return reportDoc{}, fmt.Errorf("encode report: %w", err)
	}
	return reportDoc{Reporter: r.Reporter, About: r.About, State: r.State, At: r.At, Data: data,
		ExpiresAt: r.Expires()}, nil
}

func (d reportDoc) report() (r store.Report, err error) {
	if err = json.Unmarshal(d.Data, &r); err != nil {
		err = fmt.Errorf("decode report: %w", err)
	}
	return r, err
}

// AddReport implements store.Reports.
func (s *Store) AddReport(ctx context.Context, r store.Report) (added bool, err error) {
	d, err := reportDocOf(r)
	if err != nil {
		return false, err
	}
	store.CountRead(ctx, 3)
	err = s.transact(ctx, func(tx *firestore.Transaction) error {
		added = false
		for _, uid := range []string{r.Reporter, r.About} {
			var u userDoc
			ok, err := getIn(tx, s.doc(colUsers, uid), &u)
			if err != nil {
				return err
			}
			if !ok || u.ErasingAt != 0 {
				return problem.ErrNotFound
			}
		}
		var have reportDoc
		ok, err := getIn(tx, s.doc(colReports, r.ID), &have)
		if err != nil {
			return err
		}
		if ok {
			old, err := have.report()
			if err == nil && !old.Same(r) {
				err = store.ErrReportReused
			}
			return err
		}
		added = true
		return tx.Create(s.doc(colReports, r.ID), d)
	})
	return added, err
}

// Report implements store.Reports.
func (s *Store) Report(ctx context.Context, id string) (store.Report, error) {
	if !pathSafe(id) {
		return store.Report{}, problem.ErrNotFound
	}
	var d reportDoc
	ok, err := get(ctx, s.doc(colReports, id), &d)
	if err == nil && !ok {
		err = problem.ErrNotFound
	}
	if err != nil {
		return store.Report{}, translate(err)
	}
	return d.report()
}

// Reports implements store.Reports.
func (s *Store) Reports(ctx context.Context, f store.ReportFilter, cursor string, limit int) ([]store.Report, string,
	error) {
	field, value := f.Field()
	return page(ctx, s.query(reportsWith[field], nil, value), "reports "+field+" "+value, cursor, limit,
		func(snap *firestore.DocumentSnapshot) (store.Report, int64, error) {
			var d reportDoc
			if _, err := decoded(snap, nil, &d); err != nil {
				return store.Report{}, 0, err
			}
			r, err := d.report()
			return r, int64(d.At), err
		})
}

// ActOnReport implements store.Reports.
func (s *Store) ActOnReport(ctx context.Context, id, state string, action store.ReportAction) (store.Report, error) {
	return s.changeReport(ctx, id, func(r *store.Report) error { return r.Act(state, action) })
}

// changeReport applies f to a report and writes the result, in one transaction.
func (s *Store) changeReport(ctx context.Context, id string, f func(*store.Report) error) (r store.Report,
	err error) {
	if !pathSafe(id) {
		return r, problem.ErrNotFound
	}
	store.CountRead(ctx, 1)
	err = s.transact(ctx, func(tx *firestore.Transaction) error {
		var d reportDoc
		ok, err := getIn(tx, s.doc(colReports, id), &d)
		if err != nil {
			return err
		}
		if !ok {
			return problem.ErrNotFound
		}
		if r, err = d.report(); err != nil {
			return err
		}
		if err := f(&r); err != nil {
			return err
		}
		if d, err = reportDocOf(r); err != nil {
			return err
		}
		return tx.Set(s.doc(colReports, id), d)
	})
	return r, err
}

// eraseReports anonymizes the reports of uid, and deletes those about uid.
func (s *Store) eraseReports(ctx context.Context, uid string) error {
	err := s.eachReport(ctx, "reporter", uid, func(id string) error {
		_, err := s.changeReport(ctx, id, func(r *store.Report) error {
			if r.Reporter == uid {
				r.Anonymize()
			}
			return nil
		})
		return ignoreNotFound(err)
	})
	if err != nil {
		return err
	}
	return s.eachReport(ctx, "about", uid, func(id string) error {
		_, err := s.doc(colReports, id).Delete(ctx)
		return translate(err)
	})
}

// eachReport calls f with the ids of all reports that have a value in a field. f may change or delete the report.
func (s *Store) eachReport(ctx context.Context, field, value string, f func(id string) error) error {
	var ids []string
	err := each(ctx, s.query(reportsWith[field], nil, value).Select(),
		func(snap *firestore.DocumentSnapshot) (bool, error) {
			ids = append(ids, snap.Ref.ID)
			return true, nil
		})
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := f(id); err != nil {
			return err
		}
	}
	return nil
}

// ignoreNotFound returns nil for problem.ErrNotFound: the document has expired meanwhile.
func ignoreNotFound(err error) error {
	if errors.Is(err, problem.ErrNotFound) {
		return nil
	}
	return err
}
