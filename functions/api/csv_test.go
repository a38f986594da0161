package api

import "testing"

func TestCell(t *testing.T) {
	for _, v := range []string{"=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", " =1", "\t=1",
		"＝1+1", "＋1", "－1", "＠x", "﹦1", "\ufeff=1",
		"\u200b=1", "\u3000＝1", "⁺1"} {
		if cell(v) != "'"+v {
			t.Errorf("%+q becomes %+q", v, cell(v))
		}
	}
	for _, v := range []string{"", "Ada", "a=b", "1-2", "O'Brien", "…", "é", "李"} {
		if cell(v) != v {
			t.Errorf("%+q becomes %+q", v, cell(v))
		}
	}
}
