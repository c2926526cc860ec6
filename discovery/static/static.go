// Package static provides addresses that are known beforehand.
//
// It looks nowhere and never finds another address. It is for those who have
// the list from elsewhere, and for tests.
package static

import (
	"context"
	"strings"

	"github.com/musterhq/muster/discovery"
	"github.com/musterhq/muster/discovery/internal/look"
)

// Provider is a fixed list.
type Provider struct {
	// Addrs are peer addresses, host:port. They are not changed, and must not
	// be while Find runs.
	Addrs []string
}

var _ discovery.Provider = (*Provider)(nil)

// Find reports the list once, and an error if something in it is no address;
// then it waits for ctx to end.
func (p *Provider) Find(ctx context.Context, _ string, report func([]string, error)) {
	if ctx.Err() != nil {
		return
	}
	look.Found(p.Addrs, nil).Report(report)
	<-ctx.Done()
}

// String is "static" and the addresses.
func (p *Provider) String() string {
	return strings.TrimSpace("static " + strings.Join(p.Addrs, ","))
}
