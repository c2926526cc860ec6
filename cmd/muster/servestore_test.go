package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/musterhq/muster/server"
)

func TestStoreFlags(t *testing.T) {
	var f serveFlags
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	f.register(set)
	if cfg, err := f.serverConfig(nil); err != nil || cfg.Limits.TxnOps != 128 || cfg.Limits.RequestBytes != 3<<19 || cfg.AutoCompaction != (server.AutoCompaction{}) {
		t.Errorf("by default %+v, %v; want etcd's defaults", cfg, err)
	}
	if err := set.Parse([]string{"--max-txn-ops=7", "--max-request-bytes=1000", "--cache-bytes=5000000", "--auto-compaction-retention=90s"}); err != nil {
		t.Fatal(err)
	}
	cfg, err := f.serverConfig(nil)
	if want := (server.AutoCompaction{Period: 90 * time.Second}); err != nil || cfg.Limits.TxnOps != 7 || cfg.Limits.RequestBytes != 1000 || cfg.CacheBytes != 5e6 || cfg.AutoCompaction != want {
		t.Errorf("%+v, %v", cfg, err)
	}
	for _, bad := range []string{"--max-txn-ops=0", "--max-request-bytes=0", "--max-request-bytes=99999999", "--cache-bytes=1", "--auto-compaction-mode=hourly"} {
		code, _, stderr := runMuster(nil, "serve", "--single", "--data-dir", filepath.Join(t.TempDir(), "d"), "--listen", nobody(t), bad)
		name, _, _ := strings.Cut(bad, "=")
		if code != exitUsage || !strings.Contains(stderr, name) {
			t.Errorf("%s: exit %d, %s", bad, code, stderr)
		}
	}
}
