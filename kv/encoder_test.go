package kv

import (
	"strings"
	"testing"
)

// A store of the release before is read, one of a later release is not touched.
func TestFormats(t *testing.T) {
	want := &state{applied: 7, current: 5, compacted: 3}
	for _, tt := range []struct {
		format byte
		says   string
	}{{oldFormat, ""}, {stateFormat, ""}, {unfinishedFormat, ""}, {unfinishedFormat + 1, "run the version that wrote it"}, {0, "run the version that wrote it"}} {
		b := want.append(nil)
		b[0] = tt.format
		got, err := decodeState(b)
		if tt.says != "" {
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("format %d: %v, want %q", tt.format, err, tt.says)
			}
			continue
		}
		want := *want
		want.unfinished = tt.format == unfinishedFormat
		if err != nil || *got != want {
			t.Errorf("format %d: %+v, %v", tt.format, got, err)
		}
	}
	if b := want.append(nil); b[0] != stateFormat {
		t.Errorf("written in format %d", b[0])
	}
}
