package counter

import (
	"fmt"
	"reflect"
)

// Metric is a counter of a struct that Walk has found.
type Metric struct {
	Part  string // the field of the outer struct, as encoding/json names it
	Name  string // the field of the counter
	Gauge bool   // a number of things that exist now; otherwise a number since the instance started
	Load  func() int64
}

// Walk returns the counters of a struct of structs, in the order of their fields. Each field of the outer struct is a
// pointer to a struct that has only fields of the types Count and Gauge. Any other type is a mistake of the programmer,
// so Walk panics: a counter that it does not know would never be exported.
func Walk(outer any) []Metric {
	var all []Metric
	parts := reflect.ValueOf(outer)
	for i := range parts.NumField() {
		part, name := parts.Field(i).Elem(), parts.Type().Field(i).Tag.Get("json")
		for k := range part.NumField() {
			m := Metric{Part: name, Name: part.Type().Field(k).Name}
			switch c := part.Field(k).Addr().Interface().(type) {
			case *Count:
				m.Load = c.Load
			case *Gauge:
				m.Gauge, m.Load = true, c.Load
			default:
				panic(fmt.Sprintf("counter: %s.%s has the type %T", m.Part, m.Name, c))
			}
			all = append(all, m)
		}
	}
	return all
}
