package storebolt

import (
	"bytes"
	"context"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/phoenixchat/phoenixchat/functions/store"
	"github.com/phoenixchat/phoenixchat/realtime/chat"
	"github.com/phoenixchat/phoenixchat/realtime/problem"
)

// reportKeys returns the keys of a report in the index.
func reportKeys(r store.Report) [][]byte {
	keys := [][]byte{num(prefix("all", ""), r.At, r.ID), num(prefix("state", r.State), r.At, r.ID),
		num(prefix("about", r.About), r.At, r.ID)}
	if r.Reporter != "" {
		keys = append(keys, num(prefix("reporter", r.Reporter), r.At, r.ID))
	}
	return keys
}

// putReport stores a report in place of old, or as a new one.
func putReport(tx *bbolt.Tx, old *store.Report, r store.Report) error {
	if err := deleteReport(tx, old); err != nil {
		return err
	}
	for _, k := range reportKeys(r) {
		if err := tx.Bucket(reportIndex).Put(k, nil); err != nil {
			return err
		}
	}
	return put(tx, reports, []byte(r.ID), r)
}

// deleteReport deletes a report, unless it is nil.
func deleteReport(tx *bbolt.Tx, r *store.Report) error {
	if r == nil {
		return nil
	}
	for _, k := range reportKeys(*r) {
		if err := tx.Bucket(reportIndex).Delete(k); err != nil {
			return err
		}
	}
	return tx.Bucket(reports).Delete([]byte(r.ID))
}

func getReport(tx *bbolt.Tx, id string) (r store.Report, err error) {
	ok, err := get(tx, reports, []byte(id), &r)
	if err == nil && !ok {
		err = problem.ErrNotFound
	}
	return r, err
}

// AddReport implements store.Reports. Each call deletes a few reports that have expired.
func (s *Store) AddReport(ctx context.Context, r store.Report) (added bool, err error) {
	store.CountRead(ctx, 3)
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		added = false
		for _, uid := range []string{r.Reporter, r.About} {
			u, err := getUser(tx, uid)
			if err != nil {
				return err
			}
			if u.ErasingAt != 0 {
				return problem.ErrNotFound
			}
		}
		old, err := getReport(tx, r.ID)
		switch {
		case err == nil && old.Same(r):
			return nil
		case err == nil:
			return store.ErrReportReused
		case !errors.Is(err, problem.ErrNotFound):
			return err
		}
		if err := dropExpiredReports(tx, r.At); err != nil {
			return err
		}
		added = true
		return putReport(tx, nil, r)
	})
	return added, err
}

// dropExpiredReports deletes the oldest reports that have expired, at most ten.
func dropExpiredReports(tx *bbolt.Tx, now chat.Micros) error {
	p := prefix("all", "")
	var ids []string
	c := tx.Bucket(reportIndex).Cursor()
	for k, _ := c.Seek(p); bytes.HasPrefix(k, p) && len(ids) < 10; k, _ = c.Next() {
		at, id := denum(k[len(p):])
		if (store.Report{At: chat.Micros(at)}).Expires().After(now.Time()) {
			break
		}
		ids = append(ids, id)
	}
	for _, id := range ids {
		r, err := getReport(tx, id)
		if err == nil {
			err = deleteReport(tx, &r)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Report implements store.Reports.
func (s *Store) Report(ctx context.Context, id string) (r store.Report, err error) {
	store.CountRead(ctx, 1)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		r, err = getReport(tx, id)
		return err
	})
	return r, err
}

// Reports implements store.Reports.
func (s *Store) Reports(ctx context.Context, f store.ReportFilter, cursor string,
	limit int) (page []store.Report, next string, err error) {

	field, value := f.Field()
	list := "reports " + field + " " + value
	mark, err := store.ParseMark(cursor, list)
	if err != nil {
		return nil, "", err
	}
	limit = store.PageSize(limit)
	p := prefix(field, value)
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		page, next = nil, ""
		c := tx.Bucket(reportIndex).Cursor()
		end := append(bytes.Clone(p), 0xff) // times are positive, so no key begins with it
		if mark != nil {
			end = num(bytes.Clone(p), mark.Num, mark.ID)
		}
		for k := before(c, end); bytes.HasPrefix(k, p); k, _ = c.Prev() {
			if len(page) == limit {
				last := page[limit-1]
				next = store.Mark{List: list, Num: int64(last.At), ID: last.ID}.Cursor()
				break
			}
			_, id := denum(k[len(p):])
			r, err := getReport(tx, id)
			if err != nil {
				return err
			}
			page = append(page, r)
		}
		return nil
	})
	store.CountRead(ctx, len(page))
	return page, next, err
}

// ActOnReport implements store.Reports.
func (s *Store) ActOnReport(ctx context.Context, id, state string,
	action store.ReportAction) (r store.Report, err error) {

	store.CountRead(ctx, 1)
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		old, err := getReport(tx, id)
		if err != nil {
			return err
		}
		r = old
		if err := r.Act(state, action); err != nil {
			return err
		}
		return putReport(tx, &old, r)
	})
	return r, err
}

// eraseReports anonymizes the reports of uid, and deletes those about uid.
func (s *Store) eraseReports(ctx context.Context, uid string) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		of, err := reportsWith(tx, "reporter", uid)
		if err != nil {
			return err
		}
		for _, old := range of {
			r := old
			r.Anonymize()
			if err := putReport(tx, &old, r); err != nil {
				return err
			}
		}
		about, err := reportsWith(tx, "about", uid)
		if err != nil {
			return err
		}
		for _, r := range about {
			if err := deleteReport(tx, &r); err != nil {
				return err
			}
		}
		return nil
	})
}

// reportsWith returns all reports with a value in an indexed field.
func reportsWith(tx *bbolt.Tx, field, value string) (list []store.Report, err error) {
	p := prefix(field, value)
	c := tx.Bucket(reportIndex).Cursor()
	for k, _ := c.Seek(p); bytes.HasPrefix(k, p); k, _ = c.Next() {
		_, id := denum(k[len(p):])
		r, err := getReport(tx, id)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}
