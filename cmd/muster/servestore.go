package main

import "github.com/spf13/pflag"

// registerStore are the flags of serve that concern keys and their history. They
// are etcd's, by name and meaning, but for the cache.
func (f *serveFlags) registerStore(set *pflag.FlagSet) {
	l := &f.cfg.Limits
	set.Int64Var(&l.QuotaBytes, "quota-backend-bytes", 0, "how many bytes the store may hold before puts are refused and the alarm NOSPACE is raised (default: no limit)")
	set.IntVar(&l.TxnOps, "max-txn-ops", 128, "most operations in a transaction")
	set.IntVar(&l.RequestBytes, "max-request-bytes", 3<<19, "largest write that is taken, in bytes; at most 30 MiB")
	set.StringVar(&f.compactMode, "auto-compaction-mode", "periodic", "how --auto-compaction-retention is meant: periodic or revision")
	set.StringVar(&f.compactKeep, "auto-compaction-retention", "0", "how much history is kept: a duration (30m; without a unit: hours) or a number of revisions; 0: all, until it is compacted by hand")
	set.Int64Var(&f.cfg.CacheBytes, "cache-bytes", 128<<20, "how much of the store is kept in memory for reads, in bytes")
}

// checkStore refuses what package server would take for its defaults.
func (f *serveFlags) checkStore() error {
	switch c := f.cfg; {
	case c.Limits.TxnOps < 1:
		return usage("--max-txn-ops %d: want at least 1", c.Limits.TxnOps)
	case c.Limits.RequestBytes < 1:
		return usage("--max-request-bytes %d: want at least 1", c.Limits.RequestBytes)
	case c.CacheBytes < 1<<20:
		return usage("--cache-bytes %d: want at least 1 MiB (1048576)", c.CacheBytes)
	}
	return nil
}
