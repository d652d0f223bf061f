/**
 * Capability ids that ops ask for in their metadata. The daemon refuses an op that asks for one it lacks.
 *
 * These are the names of BuildKit's `solver/pb/caps.go`, one misspelling included.
 */
export const capability = {
  constraints: "constraints",
  platform: "platform",
  ignoreCache: "meta.ignorecache",
  description: "meta.description",
  exportCache: "meta.exportcache",

  image: "source.image",
  imageResolveMode: "source.image.resolvemode",
  imageLayerLimit: "source.image.layerlimit",
  imageChecksum: "source.image.checksum",
  imageBlob: "source.imageblob",
  ociLayout: "source.ocilayout",

  local: "source.local",
  localUnique: "source.local.unique",
  localSessionId: "source.local.sessionid",
  localIncludePatterns: "source.local.includepatterns",
  localFollowPaths: "source.local.followpaths",
  localExcludePatterns: "source.local.excludepatterns",
  localSharedKeyHint: "source.local.sharedkeyhint",
  localDiffer: "source.local.differ",
  localMetadataTransfer: "source.local.metadatatransfer",

  git: "source.git",
  gitKeepDir: "source.git.keepgitdir",
  gitFullUrl: "source.git.fullurl",
  gitHttpAuth: "source.git.httpauth",
  gitKnownSshHosts: "source.git.knownsshhosts",
  gitMountSshSock: "source.git.mountsshsock",
  gitChecksum: "source.git.checksum",
  gitSkipSubmodules: "source.git.skipsubmodules",
  gitSignatureVerify: "source.git.signatureverify",
  gitMTime: "source.git.mtime",
  gitFetchByCommit: "source.git.fetchbycommit",
  gitBundle: "source.git.bundle",
  gitCheckoutBundle: "source.git.checkoutbundle",

  http: "source.http",
  httpAuth: "source.http.auth",
  httpChecksum: "source.http.checksum",
  httpPerm: "source.http.perm",
  // The protocol's own spelling.
  httpUidGid: "soruce.http.uidgid",
  httpHeader: "source.http.header",
  httpSignatureVerify: "source.http.signatureverify",

  buildFileName: "source.buildop.llbfilename",

  execBase: "exec.meta.base",
  execNetwork: "exec.meta.network",
  execProxy: "exec.meta.proxyenv",
  execSecurity: "exec.meta.security",
  execSetsDefaultPath: "exec.meta.setsdefaultpath",
  execUlimit: "exec.meta.ulimit",
  execCdi: "exec.meta.cdi",
  execLinuxResources: "exec.meta.linux.resources",
  execValidExitCode: "exec.validexitcode",
  execSecretEnv: "exec.secretenv",
  mountBind: "exec.mount.bind",
  mountCache: "exec.mount.cache",
  mountCacheSharing: "exec.mount.cache.sharing",
  mountSelector: "exec.mount.selector",
  mountTmpfs: "exec.mount.tmpfs",
  mountTmpfsSize: "exec.mount.tmpfs.size",
  mountSecret: "exec.mount.secret",
  mountSsh: "exec.mount.ssh",
  mountContentCache: "exec.mount.cache.content",

  file: "file.base",
  merge: "mergeop",
  diff: "diffop",
  passthrough: "passthroughop",
} as const;
