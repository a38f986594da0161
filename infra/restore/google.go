package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	vkit "cloud.google.com/go/firestore/apiv1"
	admin "cloud.google.com/go/firestore/apiv1/admin"
	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	pb "cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// google is Firestore of a project.
type google struct {
	project string
	data    *vkit.Client
	admin   *admin.FirestoreAdminClient // nil with the emulator, which has no backups
}

var _ databases = (*google)(nil)

// openGoogle connects to Firestore, or to its emulator. The person's credentials need a project whose quota is used.
func openGoogle(ctx context.Context, project, emulator string) (*google, error) {
	g := &google{project: project}
	opts := []option.ClientOption{option.WithQuotaProject(project)}
	if emulator != "" {
		conn, err := grpc.NewClient("passthrough:///"+emulator, grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithPerRPCCredentials(owner{}), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)))
		if err != nil {
			return nil, fmt.Errorf("firestore emulator: %w", err)
		}
		opts = []option.ClientOption{option.WithGRPCConn(conn)}
	}
	var err error
	if g.data, err = vkit.NewClient(ctx, opts...); err != nil {
		return nil, fmt.Errorf("firestore: %w", err)
	}
	if emulator == "" {
		if g.admin, err = admin.NewFirestoreAdminClient(ctx, opts...); err != nil {
			return nil, errors.Join(fmt.Errorf("firestore: %w", err), g.Close())
		}
	}
	return g, nil
}

// owner is the credentials that the emulator accepts as an administrator's.
type owner struct{}

func (owner) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer owner"}, nil
}

func (owner) RequireTransportSecurity() bool { return false }

// Close implements databases.
func (g *google) Close() error {
	err := g.data.Close()
	if g.admin != nil {
		err = errors.Join(err, g.admin.Close())
	}
	return err
}

func (g *google) name(database string) string {
	return "projects/" + g.project + "/databases/" + database
}

// Count implements databases. A thousand documents are billed as one read.
func (g *google) Count(ctx context.Context, database string, at time.Time) (counts, error) {
	all := counts{}
	for _, collection := range collections {
		n, err := g.count(ctx, database, collection, at)
		if err != nil {
			return nil, fmt.Errorf("count %s: %w", collection, err)
		}
		all[collection] = n
	}
	return all, nil
}

func (g *google) count(ctx context.Context, database, collection string, at time.Time) (int64, error) {
	// Messages are below conversations. The names of the others exist only at the top.
	query := &pb.StructuredQuery{From: []*pb.StructuredQuery_CollectionSelector{{CollectionId: collection,
		AllDescendants: collection == "messages"}}}
	req := &pb.RunAggregationQueryRequest{
		Parent: g.name(database) + "/documents",
		QueryType: &pb.RunAggregationQueryRequest_StructuredAggregationQuery{
			StructuredAggregationQuery: &pb.StructuredAggregationQuery{
				QueryType: &pb.StructuredAggregationQuery_StructuredQuery{StructuredQuery: query},
				Aggregations: []*pb.StructuredAggregationQuery_Aggregation{{Alias: "n",
					Operator: &pb.StructuredAggregationQuery_Aggregation_Count_{
						Count: &pb.StructuredAggregationQuery_Aggregation_Count{}}}},
			}},
	}
	if !at.IsZero() {
		req.ConsistencySelector = &pb.RunAggregationQueryRequest_ReadTime{ReadTime: timestamppb.New(at)}
	}
	stream, err := g.data.RunAggregationQuery(ctx, req)
	if err != nil {
		return 0, err
	}
	for {
		answer, err := stream.Recv() // it ends with an error if there is no result
		if err != nil {
			return 0, err
		}
		if n := answer.GetResult().GetAggregateFields()["n"]; n != nil {
			return n.GetIntegerValue(), nil
		}
	}
}

// Backups implements databases.
func (g *google) Backups(ctx context.Context, database string) (list []backup, err error) {
	answer, err := g.admin.ListBackups(ctx, &adminpb.ListBackupsRequest{Parent: "projects/" + g.project + "/locations/-"})
	if err != nil {
		return nil, err
	}
	if missing := answer.GetUnreachable(); len(missing) > 0 {
		return nil, fmt.Errorf("locations cannot be reached: %v", missing)
	}
	for _, b := range answer.GetBackups() {
		if b.GetDatabase() == g.name(database) && b.GetState() == adminpb.Backup_READY {
			list = append(list, backup{b.GetName(), b.GetSnapshotTime().AsTime()})
		}
	}
	return list, nil
}

// Restore implements databases.
func (g *google) Restore(ctx context.Context, backup, database string) error {
	op, err := g.admin.RestoreDatabase(ctx, &adminpb.RestoreDatabaseRequest{Parent: "projects/" + g.project,
		DatabaseId: database, Backup: backup})
	if err == nil {
		_, err = op.Wait(ctx)
	}
	return err
}

// Delete implements databases.
func (g *google) Delete(ctx context.Context, database string) error {
	op, err := g.admin.DeleteDatabase(ctx, &adminpb.DeleteDatabaseRequest{Name: g.name(database)})
	if err == nil {
		_, err = op.Wait(ctx)
	}
	return err
}
