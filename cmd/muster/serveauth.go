package main

import (
	"time"

	"github.com/spf13/pflag"
)

// registerAuth registers how clients are told apart; see docs/etcd-compatibility.md.
func (f *serveFlags) registerAuth(set *pflag.FlagSet) {
	c := &f.cfg.Auth
	set.StringVar(&c.Token, "auth-token", "simple", "tokens that users are given: simple, or jwt,sign-method=METHOD,pub-key=FILE,priv-key=FILE,ttl=TIME with the same keys on each member")
	set.DurationVar(&c.TokenTTL, "auth-token-ttl", 5*time.Minute, "how long a simple token holds that nobody uses")
	set.IntVar(&c.BcryptCost, "bcrypt-cost", 10, "how hard passwords are to guess, and how long it takes to check one: from 4 to 31, each step twice as long")
}
