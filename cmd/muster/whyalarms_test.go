package main

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/musterhq/muster/mustertest"
	"github.com/musterhq/muster/server"
)

// alarmsRaised is a cluster with what its store would say of alarms.
func alarmsRaised(t *testing.T) server.WhyAnswer {
	c := led(t, mustertest.Options{})
	a := ask(t, c.Member("n1"))
	n2, n3 := c.Member("n2").Status().Self.ID, c.Member("n3").Status().Self.ID
	a.Reasons = append(a.Reasons, server.WhyAlarms(c.Member("n1").Status(), []*pb.AlarmMember{
		{Alarm: pb.AlarmType_NOSPACE, MemberID: uint64(n2)},
		{Alarm: pb.AlarmType_CORRUPT, MemberID: uint64(n3)},
		{Alarm: pb.AlarmType_CORRUPT},
	})...)
	return a
}
