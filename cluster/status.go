package cluster

// Status is what one member knows at one moment. It is a value: whoever holds
// it may read it for ever and must not change what its slices hold.
type Status struct {
	Self      Member    `json:"self"`       // Role is 0 before the node is a member
	Cluster   string    `json:"cluster"`    // the cluster's name
	ClusterID ClusterID `json:"cluster_id"` // zero before the node is a member
	// Generation is how often the cluster was re-formed; 0: never.
	Generation uint64 `json:"generation,omitempty"`

	Stage     string         `json:"stage"`  // blank, promised, accepted, member or removed
	Leader    NodeID         `json:"leader"` // 0: none known
	Term      uint64         `json:"term"`
	State     string         `json:"state"`     // forming, follower, candidate, leader or stopped
	Committed uint64         `json:"committed"` // index; applied <= committed <= last
	Applied   uint64         `json:"applied"`
	First     uint64         `json:"first"` // first index still in the log
	Last      uint64         `json:"last"`
	LogBytes  int64          `json:"log_bytes"`
	Joint     bool           `json:"joint"`   // a joint configuration is in force (Raft thesis §4.3)
	Members   []MemberStatus `json:"members"` // sorted by ID
	Pending   int            `json:"pending"` // proposals waiting at this member
	Policy    Policy         `json:"policy"`  // as far as it was set while the cluster ran

	Announced []Announced `json:"announced,omitempty"` // members that are to come; sorted by ID
}

// Glance is the part of a [Status] that goes with every answer to a client.
type Glance struct {
	ClusterID ClusterID
	Self      NodeID
	Alias     NodeID // of Self, see [Member]; 0: none
	Leader    NodeID // 0: none known
	Term      uint64
	Committed uint64 // index; of a leader it is no less than what others have heard from it
	Applied   uint64 // index, looked at after Committed
}

// KnownAs is [Member.KnownAs] of Self.
func (g Glance) KnownAs() NodeID { return Member{ID: g.Self, Alias: g.Alias}.KnownAs() }

// MemberStatus is one member as seen by another.
type MemberStatus struct {
	Member
	Match     uint64 `json:"match"`                    // leader only: last index known to be on its disk
	Applied   uint64 `json:"applied"`                  // self only, else 0
	Active    bool   `json:"active"`                   // leader only: answered within an election timeout
	Connected bool   `json:"connected"`                // self: always true
	Err       string `json:"err,omitempty"`            // why not connected
	Progress  string `json:"progress,omitempty"`       // leader only: probe, replicate or snapshot
	Sent      int64  `json:"snapshot_sent,omitempty"`  // bytes, while a snapshot is sent to it
	Total     int64  `json:"snapshot_total,omitempty"` // bytes
}

// Traffic is what one node and another member exchanged.
type Traffic struct {
	ID             NodeID
	Connected      bool   // messages can be sent to it
	Sent, Received uint64 // bytes, on all connections, without what TLS adds
	Dropped        uint64 // batches of messages that were lost before they were sent
}

// Known finds a member's line by its ID or by its alias.
func (s *Status) Known(id NodeID) (MemberStatus, bool) {
	if m, ok := s.Member(id); ok {
		return m, true
	}
	for _, m := range s.Members {
		if m.Alias == id && id != 0 {
			return m, true
		}
	}
	return MemberStatus{}, false
}

// Announcement finds a member that is to come by its ID.
func (s *Status) Announcement(id NodeID) (Announced, bool) {
	m := Membership{Announced: s.Announced}
	return m.Announcement(id)
}

// Member finds a member's line by ID.
func (s *Status) Member(id NodeID) (MemberStatus, bool) {
	for _, m := range s.Members {
		if m.ID == id {
			return m, true
		}
	}
	return MemberStatus{}, false
}
