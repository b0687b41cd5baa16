import Archives
import HostFiles
public import ImageStore
public import OCIImages

/// A snapshot that somebody else has packed, of which only the description was read.
///
/// Trust: none. What is said here fits together; its files are verified as they are taken over.
public struct IncomingSnapshot: Sendable {
    public let description: SnapshotDescription
    let layers: [OCIArtifact.Part]

    /// What an artifact says of itself, looked at before anything of it is fetched.
    /// - Throws: for what is no snapshot, or a newer version's.
    public static func check(_ artifact: OCIArtifact) throws(SnapshotError) {
        guard artifact.artifactType == SnapshotDescription.artifactType else {
            guard artifact.artifactType.hasPrefix(SnapshotDescription.family) else {
                throw SnapshotDescription.invalid("it says that it is \(artifact.artifactType.prefix(100))")
            }
            throw SnapshotDescription.newer(
                String(artifact.artifactType.dropFirst(SnapshotDescription.family.utf8.count)))
        }
        guard artifact.configuration.mediaType == SnapshotDescription.mediaType,
            artifact.configuration.sizeBytes <= SnapshotDescription.maximumBytes
        else { throw SnapshotDescription.invalid("it has no description") }
    }

    /// - Parameter description: the bytes of the artifact's configuration.
    public init(_ artifact: OCIArtifact, description bytes: [UInt8]) throws(SnapshotError) {
        try Self.check(artifact)
        guard UInt64(bytes.count) == artifact.configuration.sizeBytes,
            SHA256.digest(of: bytes) == artifact.configuration.digest
        else { throw SnapshotDescription.invalid("its description is not what its digest says") }
        description = try SnapshotDescription(parsing: bytes)
        layers = artifact.layers
        guard layers.map(\.title) == description.files.map(\.name),
            layers.allSatisfy({ $0.mediaType == SnapshotDescription.fileType })
        else { throw SnapshotDescription.invalid("its files are not those of its description") }
    }

    /// Reads the description out of a layout.
    public init(_ layout: OCILayout) throws(SnapshotError) {
        let artifact = try Self.reading { () throws(OCIError) in try layout.artifact().artifact }
        try Self.check(artifact)
        try self.init(
            artifact,
            description: try Self.reading { () throws(OCIError) in try layout.bytes(of: artifact.configuration) })
    }

    private static func reading<Result>(_ body: () throws(OCIError) -> Result) throws(SnapshotError) -> Result {
        do throws(OCIError) { return try body() } catch { throw SnapshotDescription.invalid("\(error)") }
    }

    /// The image that it is made of, which must be here.
    public func image(in store: ImageStore) throws -> StoredImage {
        let wanted = description.image
        guard SHA256Digest(description: wanted.digest) != nil else {
            throw SnapshotDescription.invalid("it names no image by its digest")
        }
        do throws(ImageError) {
            let image = try store.resolve(wanted.digest)
            guard image.digest == wanted.digest, !image.diskPaths.isEmpty else {
                throw ImageError(.unknownImage, "the image is damaged")
            }
            return image
        } catch {
            guard error.code == .unknownImage else { throw error }
            throw SnapshotError(.missingImage, "\(missing(wanted))")
        }
    }

    private func missing(_ wanted: SnapshotDescription.Image) -> String {
        let known =
            "it is of a machine of the image \"\(wanted.name.prefix(255))\" (\(wanted.digest)), which is not here"
        let way =
            SHA256Digest(description: wanted.manifest ?? "").map { digest in
                let name = wanted.name.prefix { $0 != "@" }
                let slash = name.lastIndex(of: "/") ?? name.startIndex
                let repository = name[slash...].firstIndex(of: ":").map { name[..<$0] } ?? name
                return "pull it: swiftlet pull \(repository)@\(digest), or "
            } ?? ""
        return
            "\(known); \(way)bring it over from the computer that the snapshot is from: swiftlet save --output image.tar, swiftlet load image.tar"
    }
}
