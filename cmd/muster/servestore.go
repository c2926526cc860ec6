package main

import (
	"github.com/spf13/pflag"

	"github.com/musterhq/muster/server"
)

// storeFlags are the flags of serve that concern keys and their history. They
// are etcd's, by name and meaning.
type storeFlags struct {
	maxTxnOps, maxRequestBytes int
	cacheBytes                 int64
	compactMode, compactKeep   string
}

func (f *storeFlags) register(set *pflag.FlagSet) {
	set.IntVar(&f.maxTxnOps, "max-txn-ops", 128, "most operations in a transaction")
	set.IntVar(&f.maxRequestBytes, "max-request-bytes", 3<<19, "largest write that is taken, in bytes; at most 30 MiB")
	set.StringVar(&f.compactMode, "auto-compaction-mode", "periodic", "how --auto-compaction-retention is meant: periodic or revision")
	set.StringVar(&f.compactKeep, "auto-compaction-retention", "0", "how much history is kept: a duration (30m; without a unit: hours) or a number of revisions; 0: all, until it is compacted by hand")
	set.Int64Var(&f.cacheBytes, "cache-bytes", 128<<20, "how much of the store is kept in memory for reads, in bytes")
}

// fill adds them to cfg.
func (f *storeFlags) fill(cfg server.Config) (server.Config, error) {
	if f.maxTxnOps < 1 {
		return cfg, usage("--max-txn-ops %d: want at least 1", f.maxTxnOps)
	}
	if f.maxRequestBytes < 1 {
		return cfg, usage("--max-request-bytes %d: want at least 1", f.maxRequestBytes)
	}
	if f.cacheBytes < 1<<20 {
		return cfg, usage("--cache-bytes %d: want at least 1 MiB (1048576)", f.cacheBytes)
	}
	keep, err := server.ParseAutoCompaction(f.compactMode, f.compactKeep)
	if err != nil {
		return cfg, usage("%v", err)
	}
	cfg.AutoCompaction = keep
	cfg.MaxTxnOps, cfg.MaxRequestBytes, cfg.CacheBytes = f.maxTxnOps, f.maxRequestBytes, f.cacheBytes
	return cfg, nil
}
