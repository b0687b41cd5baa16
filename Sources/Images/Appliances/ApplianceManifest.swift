public import Archives
import JSONFields
import WireFormats

/// The parts of an appliance, as a registry keeps them: an OCI artifact. Format: Documentation/appliances.md.
///
/// Source: OCI image-spec 1.1, manifest.md, Guidelines for Artifact Usage.
public struct ApplianceManifest: Equatable, Sendable {
    /// A blob of it.
    public struct Part: Equatable, Sendable {
        public let digest: SHA256Digest
        public let sizeBytes: UInt64

        public init(digest: SHA256Digest, sizeBytes: UInt64) {
            self.digest = digest
            self.sizeBytes = sizeBytes
        }
    }

    /// The disk: EROFS, and the hash tree behind it.
    public struct Disk: Equatable, Sendable {
        public let part: Part
        /// Of the dm-verity tree; what is signed is the manifest, and with it this.
        public let rootHash: SHA256Digest
        /// Blocks of 4096 bytes before the tree.
        public let dataBlocks: UInt64

        public init(part: Part, rootHash: SHA256Digest, dataBlocks: UInt64) {
            self.part = part
            self.rootHash = rootHash
            self.dataBlocks = dataBlocks
        }
    }

    public let description: Part
    public let disk: Disk
    /// Nil where the host's own kernel is used.
    public let kernel: Part?

    public static let artifactType = "application/vnd.swiftlet.appliance.v1"
    public static let descriptionType = "application/vnd.swiftlet.appliance.description.v1+json"
    public static let diskType = "application/vnd.swiftlet.appliance.disk.v1.erofs"
    public static let kernelType = "application/vnd.swiftlet.appliance.kernel.v1"
    /// Annotations of the disk.
    static let rootHashNote = "dev.swiftlet.verity.root-hash"
    static let dataBlocksNote = "dev.swiftlet.verity.data-blocks"
    static let maximumBytes = 1 << 20

    public init(description: Part, disk: Disk, kernel: Part?) {
        self.description = description
        self.disk = disk
        self.kernel = kernel
    }

    /// Trust: none in the bytes.
    /// - Throws: `notAppliance` for an image of another kind, `invalid` for an appliance that is wrong.
    public init(parsing bytes: [UInt8]) throws(ApplianceError) {
        let json: JSONValue
        do throws(JSONError) { json = try JSONParser.parse(bytes) } catch {
            throw ApplianceError(.notAppliance, "this is no manifest: \(error)")
        }
        guard var reader = try? FieldReader(json), (try? reader.optionalText("artifactType")) == Self.artifactType
        else {
            throw ApplianceError(
                .notAppliance,
                "this image is no appliance; those say in their manifest that they are \(Self.artifactType)")
        }
        do throws(FieldFault) {
            description = try Self.part(try reader.object("config"), Self.descriptionType)
            var disk: Disk?
            var kernel: Part?
            for layer in try reader.objects("layers") {
                var copy = layer
                switch try copy.text("mediaType") {
                case Self.diskType where disk == nil: disk = try Self.disk(layer)
                case Self.kernelType where kernel == nil: kernel = try Self.part(layer, Self.kernelType)
                default: throw layer.fault("mediaType", "must be that of one disk and, at most, one kernel")
                }
            }
            guard let disk else { throw reader.fault("layers", "must have a disk") }
            self.disk = disk
            self.kernel = kernel
        } catch {
            throw ApplianceError(.invalid, "the appliance's manifest is wrong: \(error)")
        }
    }

    private static func disk(_ reader: FieldReader) throws(FieldFault) -> Disk {
        let part = try part(reader, diskType)
        var reader = reader
        var notes = try reader.object("annotations")
        guard let rootHash = SHA256Digest(description: try notes.text(rootHashNote)) else {
            throw notes.fault(rootHashNote, "is no SHA-256 digest")
        }
        guard let dataBlocks = UInt64(try notes.text(dataBlocksNote)), dataBlocks > 0,
            dataBlocks < part.sizeBytes / 4096, part.sizeBytes % 4096 == 0
        else { throw notes.fault(dataBlocksNote, "is no number of blocks that the disk could have") }
        return Disk(part: part, rootHash: rootHash, dataBlocks: dataBlocks)
    }

    private static func part(_ reader: FieldReader, _ mediaType: String) throws(FieldFault) -> Part {
        var reader = reader
        guard try reader.text("mediaType") == mediaType else { throw reader.fault("mediaType", "must be \(mediaType)") }
        guard let digest = SHA256Digest(description: try reader.text("digest")) else {
            throw reader.fault("digest", "is no SHA-256 digest")
        }
        return Part(digest: digest, sizeBytes: UInt64(try reader.integer("size", in: 0...(1 << 50))))
    }

    /// The document, the same bytes for the same parts.
    public var bytes: [UInt8] {
        func descriptor(_ type: String, _ part: Part) -> String {
            #"{"mediaType":"\#(type)","digest":"\#(part.digest)","size":\#(part.sizeBytes)}"#
        }
        let diskDescriptor =
            descriptor(Self.diskType, disk.part).dropLast()
            + #","annotations":{"\#(Self.rootHashNote)":"\#(disk.rootHash)","\#(Self.dataBlocksNote)":"\#(disk.dataBlocks)"}}"#
        let layers =
            [String(diskDescriptor)] + (kernel.map { [descriptor(Self.kernelType, $0)] } ?? [])
        return Array(
            (#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#
                + #""artifactType":"\#(Self.artifactType)","config":\#(descriptor(Self.descriptionType, description)),"#
                + #""layers":[\#(layers.joined(separator: ","))]}"#).utf8)
    }
}
