package server

// watchMetrics are the gauges of watches.
func (s *Server) watchMetrics(gauge func(name, help string, read func(v *view) float64)) {
	gauge("etcd_debugging_mvcc_watch_stream_total", "Total number of watch streams.",
		func(*view) float64 { return float64(s.store.WatchStats().Groups) })
	gauge("etcd_debugging_mvcc_watcher_total", "Total number of watchers.",
		func(*view) float64 { return float64(s.store.WatchStats().Watches) })
	gauge("etcd_debugging_mvcc_slow_watcher_total", "Total number of unsynced slow watchers.",
		func(*view) float64 { return float64(s.store.WatchStats().Behind) })
}
