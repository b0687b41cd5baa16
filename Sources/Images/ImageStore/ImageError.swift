public import CodedErrors

/// Why the image store could not do something, in words for a person and a code for a program.
public struct ImageError: CodedError {
    public enum Code: String, Sendable {
        /// No image has that name or digest.
        case unknownImage = "image.unknown"
        /// More than one image's digest begins so.
        case ambiguousReference = "image.ambiguous"
        /// It stays for as long as the machine that is made of it.
        case imageInUse = "image.in-use"
        /// A name, or a setting, that cannot be used.
        case invalidName = "image.invalid-name"
        /// The source is missing, or cannot be read.
        case unreadableSource = "image.unreadable-source"
        /// What is to be written cannot be, or something is in its way.
        case unwritableTarget = "image.unwritable-target"
        /// Whoever was to read it from a pipe has gone away.
        case readerGone = "image.reader-gone"
        /// The source is neither a folder, a tar, an OCI layout nor a docker archive, or is damaged, or breaks a bound.
        case invalidSource = "image.invalid-source"
        /// An earlier version imported it from plain files, without what could be handed on.
        case withoutLayers = "image.without-layers"
        /// A blob is not what its digest says.
        case wrongBlob = "image.wrong-blob"
        /// The host's disk is full.
        case diskFull = "image.disk-full"
        /// The store's own folder cannot be used, or what is in it is damaged.
        case damagedStore = "image.damaged-store"
    }

    public let code: Code
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }
}
