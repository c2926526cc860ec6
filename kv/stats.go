package kv

// Size returns the bytes that the store takes, and how many of them its content
// does; what was not flushed yet is in both. See [Store.Used].
func (s *Store) Size() (total, used int64) {
	g, err := s.acquire()
	if err != nil {
		return 0, 0
	}
	defer g.release()
	m, pending := g.db.Metrics(), g.pending.Load()
	return int64(m.DiskSpaceUsage()) + pending, int64(m.Table.Local.LiveSize+m.BlobFiles.Local.LiveSize) + pending
}

// Stats are figures of one moment, all 0 while the store is not open.
type Stats struct {
	Applied       uint64 // index of the last raft entry carried out
	Revision      int64  // of the last write
	Compacted     int64  // history below it is compacted; 0: none is
	DiskBytes     int64  // on disk, with what waits for deletion
	LiveBytes     int64  // of tables in use
	MemTableBytes int64  // written and not flushed
	CacheBytes    int64  // in the block cache
	ReadAmp       int    // tables that a read may have to look into
}

// Stats gathers them; it is cheap enough for a scrape, not for a hot path.
func (s *Store) Stats() Stats {
	g, err := s.acquire()
	if err != nil {
		return Stats{}
	}
	defer g.release()
	m, st := g.db.Metrics(), g.state.Load()
	return Stats{
		Applied:       st.applied,
		Revision:      st.current,
		Compacted:     max(st.compacted, 0),
		DiskBytes:     int64(m.DiskSpaceUsage()),
		LiveBytes:     int64(m.Table.Local.LiveSize + m.BlobFiles.Local.LiveSize),
		MemTableBytes: int64(m.MemTable.Size),
		CacheBytes:    m.BlockCache.Size,
		ReadAmp:       m.ReadAmp(),
	}
}
