package etcdapi

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// storageVersion is what etcd would call the format of the data: that of the
// release whose API is spoken. There is one format, and no older one to go back to.
const storageVersion = "3.7.0"

var versionForm = regexp.MustCompile(`^([0-9]+)\.([0-9]+)(?:\.([0-9]+)(?:-[0-9A-Za-z.-]*)?(?:\+[0-9A-Za-z.-]*)?)?$`)

// isVersion says whether etcd can read a version: its numbers have 63 bits, and
// what follows them may be empty.
func isVersion(v string) bool {
	parts := versionForm.FindStringSubmatch(v)
	if parts == nil {
		return false
	}
	for _, n := range parts[1:] {
		if _, err := strconv.ParseInt(n, 10, 64); n != "" && err != nil {
			return false
		}
	}
	return true
}

// Downgrade implements etcd's Maintenance.Downgrade. A version that can't be
// read is refused as in etcd; every other one as no valid target, also 3.6,
// which etcd 3.7 would take: this store can't be made one of etcd 3.6. To cancel
// a downgrade succeeds, as in etcd, also if there is none.
func (s *maintenanceService) Downgrade(_ context.Context, r *pb.DowngradeRequest) (*pb.DowngradeResponse, error) {
	switch r.GetAction() {
	case pb.DowngradeRequest_VALIDATE, pb.DowngradeRequest_ENABLE:
		if !isVersion(r.GetVersion()) {
			return nil, rpctypes.ErrGRPCWrongDowngradeVersionFormat
		}
		return nil, rpctypes.ErrGRPCInvalidDowngradeTargetVersion
	case pb.DowngradeRequest_CANCEL:
		return &pb.DowngradeResponse{Header: s.header(), Version: strings.TrimSuffix(storageVersion, ".0")}, nil
	}
	return nil, status.Error(codes.Unknown, "etcdserver: unknown method")
}
