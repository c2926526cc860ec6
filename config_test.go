package muster_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/musterhq/muster"
	"github.com/musterhq/muster/discovery"
)

// TestExpectIsChecked: how a node that founds with whom it meets, or is told of
// others by discovery, may be configured, and what it is told otherwise.
func TestExpectIsChecked(t *testing.T) {
	seeds, found := []string{"a:1", "b:1"}, []discovery.Provider{&board{}}
	for _, c := range []struct {
		cfg  muster.Config
		want string // "" : it is right
	}{
		{muster.Config{Expect: 2, Seeds: seeds}, ""},
		{muster.Config{Expect: 3, Seeds: seeds[:1]}, ""},
		{muster.Config{Expect: 32, Seeds: seeds}, ""},
		{muster.Config{Expect: 1, Seeds: seeds}, "--single"},
		{muster.Config{Expect: -1, Seeds: seeds}, "2 to 32"},
		{muster.Config{Expect: 33, Seeds: seeds}, "2 to 32"},
		{muster.Config{Expect: 3}, "--seeds"},
		{muster.Config{Expect: 3, Single: true}, "both Expect and Single"},
		{muster.Config{Expect: 3, Discovery: found}, ""},
		{muster.Config{JoinOnly: true, Discovery: found}, ""},
		{muster.Config{Single: true, Discovery: found}, ""},
		{muster.Config{Seeds: seeds, Discovery: found}, "Discovery without Expect or JoinOnly"},
		{muster.Config{Discovery: found}, "Discovery without Expect or JoinOnly"},
		{muster.Config{Expect: 3, Discovery: []discovery.Provider{nil}}, "nil provider"},
		{muster.Config{Single: true, PinFile: "e/pin"}, ""},
		{muster.Config{Single: true, PinFile: "d/pin"}, "inside the data directory"},
		{muster.Config{Expect: 3, JoinOnly: true, Seeds: seeds}, "both Expect and JoinOnly"},
	} {
		c.cfg.Name, c.cfg.DataDir = "a", "d"
		err := c.cfg.Validate()
		switch {
		case c.want == "" && err == nil:
		case c.want == "" || !errors.Is(err, muster.ErrConfig) || !strings.Contains(err.Error(), c.want):
			t.Errorf("%+v: %v, want %q", c.cfg, err, c.want)
		}
	}
}
