public import Archives
import FileTrees
import HostFiles
public import OCIImages

/// A layout written document by document, so that each can be wrong.
public struct LayoutBuilder {
    private let scratch: ScratchFolder
    /// Descriptors, as JSON.
    public var manifests: [String] = []

    public init(_ scratch: ScratchFolder) throws {
        self.scratch = scratch
        try scratch.write("l/oci-layout", Array(#"{"imageLayoutVersion":"1.0.0"}"#.utf8))
    }

    public func blob(_ bytes: [UInt8]) throws -> String {
        let digest = SHA256.digest(of: bytes)
        try scratch.write("l/blobs/sha256/\(digest.hex)", bytes)
        return #""digest":"\#(digest)","size":\#(bytes.count)"#
    }

    public mutating func add(
        _ layers: [[UInt8]], program: String = "{}", architecture: String = "amd64", name: String? = nil,
        tarDigests: [SHA256Digest]? = nil, platform: Bool = true
    ) throws {
        let digests = (tarDigests ?? layers.map { SHA256.digest(of: $0) }).map { "\"\($0)\"" }.joined(separator: ",")
        let configuration = try blob(
            Array(
                #"{"architecture":"\#(architecture)","os":"linux","config":\#(program),"rootfs":{"type":"layers","diff_ids":[\#(digests)]}}"#
                    .utf8))
        let layer = #""mediaType":"application/vnd.oci.image.layer.v1.tar","#
        let blobs = try layers.map { try "{\(layer)\(blob($0))}" }.joined(separator: ",")
        let kind = #""mediaType":"application/vnd.oci.image.config.v1+json","#
        let manifest = try blob(
            Array(#"{"schemaVersion":2,"config":{\#(kind)\#(configuration)},"layers":[\#(blobs)]}"#.utf8))
        let where_ = platform ? #","platform":{"os":"linux","architecture":"\#(architecture)"}"# : ""
        let note = name.map { #","annotations":{"org.opencontainers.image.ref.name":"\#($0)"}"# } ?? ""
        manifests.append("{\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\(manifest)\(where_)\(note)}")
    }

    public func layout() throws -> OCILayout {
        try scratch.write(
            "l/index.json", Array(#"{"schemaVersion":2,"manifests":[\#(manifests.joined(separator: ","))]}"#.utf8))
        return try OCILayout(try FileTree(scanning: HostPath(scratch.appending("l"))))
    }
}
