export { FakeBuild } from "./fake-build.js";
export {
  type FakeAnswer,
  type FakeAnswers,
  type FakeBlob,
  FakeBuildKit,
  type FakeBuildKitOptions,
  type FakeHistoryBuild,
  type RecordedRequest,
} from "./fake-buildkit.js";
export { type FakeErrorDetail, FakeRefusal } from "./fake-refusal.js";
export { FakeSession, type SessionAnnouncement } from "./fake-session.js";
export {
  type KilnMatchers,
  type KilnSerializer,
  kilnEquality,
  kilnMatchers,
  kilnSerializer,
  type MatcherResult,
  type Snapshotted,
} from "./kiln-snapshots.js";
export { type BuildRecording, recordBuild, replay } from "./recording.js";
