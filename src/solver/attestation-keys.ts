/** Annotation that names what an in-toto statement says. */
export const predicateKey = "in-toto.io/predicate-type";

/** Annotation of a manifest in an image's index that tells what it is for: `attestation-manifest`. */
export const referenceTypeKey = "vnd.docker.reference.type";

/** Annotation with the digest of the manifest that an attestation manifest is about. */
export const referenceDigestKey = "vnd.docker.reference.digest";
