package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// notRun is the outcome of a patch without a result in RESULTS.md.
const notRun = "not run"

// row is a row of the table of mutants.
type row struct{ name, why, outcome, by string }

func (r result) row() row { return row{r.Name, r.Why, r.Outcome, r.By} }

func (r row) String() string {
	return fmt.Sprintf("| %s | %s | %s | %s |\n", r.name, r.why, r.outcome, strings.ReplaceAll(r.by, "|", `\|`))
}

// parseRow reads a row. ok is false for a line that is not a row.
func parseRow(line string) (r row, ok bool) {
	line, ok = strings.CutPrefix(strings.TrimRight(line, "\n"), "| ")
	if !ok {
		return row{}, false
	}
	cells := strings.SplitN(line, " | ", 4)
	if len(cells) != 4 {
		return row{}, false
	}
	by := strings.TrimSuffix(strings.TrimSuffix(cells[3], "|"), " ")
	return row{cells[0], cells[1], cells[2], strings.ReplaceAll(by, `\|`, "|")}, true
}

const tableHead = "| mutant | what users would lose | outcome | by |\n|---|---|---|---|\n"

// formatTable returns the table of some rows, sorted by name.
func formatTable(rows []row) string {
	var b strings.Builder
	b.WriteString(tableHead)
	byName := func(a, b row) int { return strings.Compare(a.name, b.name) }
	for _, r := range slices.SortedFunc(slices.Values(rows), byName) {
		b.WriteString(r.String())
	}
	return b.String()
}

// summary counts the outcomes of rows.
func summary(rows []row) string {
	count := map[string]int{}
	for _, r := range rows {
		count[r.outcome]++
	}
	return fmt.Sprintf("Of %d patches, %d are noticed, %d are equivalent, %d survived, %d could not be tried, and %d "+
		"were not run.", len(rows), count[noticed], count[equivalent], count[survived], count[broken], count[notRun])
}

// printTable writes the results as Markdown.
func printTable(to io.Writer, results []result) {
	var rows []row
	seconds := 0.0
	for _, r := range results {
		rows = append(rows, r.row())
		seconds += r.Took.Seconds()
	}
	fmt.Fprintf(to, "%s\n%s They took %.0f s.\n", formatTable(rows), summary(rows), seconds)
}

var summaryLine = regexp.MustCompile(`(?m)^Of \d+ patches, .*$`)

// splitTable returns the text of RESULTS.md before and after its table, and the rows.
func splitTable(text string) (before, after string, rows []row, err error) {
	before, rest, ok := strings.Cut(text, tableHead)
	if !ok {
		return "", "", nil, errors.New("the table is missing")
	}
	for rest != "" {
		line, others, _ := strings.Cut(rest, "\n")
		r, ok := parseRow(line)
		if !ok {
			break
		}
		rows, rest = append(rows, r), others
	}
	return before, rest, rows, nil
}

// updateTable returns the text of RESULTS.md with a row for each patch: of its result, or as the text had it.
func updateTable(text string, list []*patch, results []result) (string, error) {
	before, after, old, err := splitTable(text)
	if err != nil {
		return "", err
	}
	rows := map[string]row{}
	for _, p := range list {
		rows[p.name] = row{p.name, p.why, notRun, ""}
	}
	for _, r := range old {
		// A merge may leave two rows of a patch.
		if p, ok := rows[r.name]; ok && r.outcome != notRun {
			r.why = p.why
			rows[r.name] = r
		}
	}
	for _, r := range results {
		rows[r.Name] = r.row()
	}
	all := slices.Collect(maps.Values(rows))
	if !summaryLine.MatchString(before) {
		return "", errors.New("the line that counts the outcomes is missing")
	}
	return summaryLine.ReplaceAllLiteralString(before, summary(all)) + formatTable(all) + after, nil
}

// writeResults updates RESULTS.md.
func writeResults(file string, list []*patch, results []result) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	updated, err := updateTable(string(text), list, results)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(updated), 0o644)
}
