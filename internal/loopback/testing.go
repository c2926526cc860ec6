package loopback

// TB is what Addrs needs of a testing.TB. The demo imports this package too
// and has no use for package testing.
type TB interface {
	Helper()
	Cleanup(func())
	Fatal(args ...any)
}

// Addrs returns n distinct addresses for the servers of a test, which has them
// to itself until it ends. Without a server they are addresses that refuse.
func Addrs(t TB, n int) []string {
	t.Helper()
	var p Ports
	t.Cleanup(func() { p.Release() })
	addrs, err := p.ReserveAny(n)
	if err != nil {
		t.Fatal(err)
	}
	return addrs
}
