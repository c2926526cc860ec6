package loopback

import (
	"net"
	"slices"
	"strconv"
	"testing"
)

func TestOutsideTheEphemeralRange(t *testing.T) {
	for _, c := range []struct {
		taken   portRange
		outside int // so many come first
	}{
		{portRange{32768, 60999}, 22768 + 4536},
		{portRange{32768, 65535}, 22768},
		{portRange{1024, 60999}, 4536},
		{portRange{1024, 65535}, 0}, // no port is outside: better these than none
		{portRange{1024, 9999}, 55536},
	} {
		got := candidates(c.taken)
		for i, port := range got {
			if outside := port < c.taken.low || port > c.taken.high; outside != (i < c.outside) {
				t.Fatalf("%v: number %d to be tried is %d", c.taken, i, port)
			}
		}
		slices.Sort(got)
		if all := slices.Compact(got); len(all) != 65536-lowest || all[0] != lowest || all[len(all)-1] != 65535 {
			t.Errorf("%v: %d ports from %d to %d", c.taken, len(all), all[0], all[len(all)-1])
		}
	}
}

func TestReservedOnce(t *testing.T) {
	var a, b Ports
	defer a.Release()
	defer b.Release()
	addrs, err := a.ReserveAny(1)
	if err != nil {
		t.Fatal(err)
	}
	addr := addrs[0]
	if taken, port := ephemeral(), portOf(t, addr); port >= taken.low && port <= taken.high {
		t.Errorf("%s is in the ephemeral range %v", addr, taken)
	}
	if err := b.Reserve(addr); err == nil {
		t.Errorf("%s was reserved twice", addr)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("its owner can't listen on it: %v", err)
	}
	defer l.Close()
	a.Release()
	if err := b.Reserve(addr); err == nil {
		t.Errorf("%s was reserved while somebody listens on it", addr)
	}
	l.Close()
	if err := b.Reserve(addr); err != nil {
		t.Errorf("it is not free again: %v", err)
	}
}

func TestAddrs(t *testing.T) {
	var addrs []string
	t.Run("while a test runs", func(t *testing.T) {
		addrs = Addrs(t, 20)
		slices.Sort(addrs)
		if len(slices.Compact(slices.Clone(addrs))) != 20 {
			t.Errorf("one comes twice: %v", addrs)
		}
		var other Ports
		defer other.Release()
		for _, addr := range addrs {
			if err := other.Reserve(addr); err == nil {
				t.Errorf("%s is not held", addr)
			}
		}
	})
	var after Ports
	defer after.Release()
	for _, addr := range addrs {
		if err := after.Reserve(addr); err != nil {
			t.Errorf("it is not given back: %v", err)
		}
	}
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}
