import { Health, HealthCheckResponse_ServingStatus } from "../gen/grpc/health/v1/health_pb.js";
import type { Attachable } from "./grpc/service.js";
import { unaryService } from "./grpc/unary-service.js";

/**
 * gRPC's health service, always SERVING.
 *
 * The daemon asks every 5 s and closes a session that misses two answers in a row; that it is answered at
 * all is the point. `onCheck` is told of each question: as long as they come, the daemon is there.
 */
export function healthService(onCheck: () => void): Attachable {
  return unaryService(Health, {
    check: () => {
      onCheck();
      return { status: HealthCheckResponse_ServingStatus.SERVING };
    },
  });
}
