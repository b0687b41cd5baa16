public import Appliances
import Archives
import HostFiles
import JSONValues
import OCIImages
import VerityTree

/// What an appliance is made of, in the store.
public struct StoredAppliance: Sendable {
    public let image: StoredImage
    public let manifest: ApplianceManifest
    public let description: ApplianceDescription
    /// Its own kernel; nil where it runs on the host's.
    public let kernelPath: String?
}

/// A kernel that goes into an appliance.
public struct ApplianceKernel: Sendable {
    public let path: String
    /// Words that it wants on its command line.
    public let arguments: String

    public init(path: String, arguments: String) {
        self.path = path
        self.arguments = arguments
    }
}

extension ImageStore {
    /// An image's description and parts, if it is an appliance.
    /// - Throws: `ApplianceError` `.notAppliance` for other images.
    public func appliance(_ image: StoredImage) throws -> StoredAppliance {
        guard image.parts.first?.kind == .whole, let digest = image.manifest else {
            throw ApplianceError(
                .notAppliance,
                "\(image.names.first ?? image.shortDigest) is no appliance; make one of it: swiftlet appliance build")
        }
        let manifest = try ApplianceManifest(parsing: try document(digest, limit: 1 << 20))
        let description = try ApplianceDescription(
            parsing: try document(manifest.description.digest, limit: ApplianceDescription.maximumBytes))
        return StoredAppliance(
            image: image, manifest: manifest, description: description,
            kernelPath: manifest.kernel.map { blobs.file($0.digest).description })
    }

    private func document(_ digest: SHA256Digest, limit: Int) throws(ImageError) -> [UInt8] {
        do throws(HostFileError) { return try folders.blob(digest).readWhole(limit: limit) } catch {
            throw ImageError(error, in: .damagedStore)
        }
    }

    /// Points a name at an artifact whose blobs are in the store.
    ///
    /// The disk is compared with its hash tree before: what is in the store can be run.
    func importArtifact(
        _ artifact: OCIImage, _ type: String, indexes: [SHA256Digest], as name: String, _ meter: ImportMeter
    ) throws(ImageError) -> StoredImage {
        guard type == ApplianceManifest.artifactType else {
            throw ImageError(.invalidSource, "\(name) is an artifact of the type \(type), which cannot be run")
        }
        let manifest: ApplianceManifest
        let description: ApplianceDescription
        do throws(ApplianceError) {
            manifest = try ApplianceManifest(parsing: try bytes(artifact.manifestDigest))
            description = try ApplianceDescription(parsing: try bytes(manifest.description.digest))
        } catch {
            throw ImageError(.invalidSource, "cannot take \(name): \(error.message)")
        }
        let disk = manifest.disk
        let blockCount = disk.part.sizeBytes / DiskPart.blockBytes
        guard blockCount <= DiskPart.maximumBlocks,
            disk.dataBlocks + HashTreeLayout(dataBlocks: disk.dataBlocks).blocks == blockCount
        else { throw ImageError(.invalidSource, "the hash tree of the appliance \(name) has a wrong length") }
        let record = StoreDocuments.Record(
            identity: StoreDocuments.Identity(
                disk: disk.rootHash.description, configuration: ImageConfiguration(description),
                manifest: artifact.manifestDigest.description),
            parts: [
                DiskPart(
                    kind: .whole, digits: disk.part.digest.hex, blockCount: blockCount, wholeDataBlocks: disk.dataBlocks
                )
            ],
            layers: nil, importedSeconds: Self.nowSeconds,
            blobs: ImageOrigin(artifact, indexes: indexes).blobs.map(\.description))
        meter.begin(.finishing, bytesTotal: disk.part.sizeBytes)
        try check(disk, called: name, meter)
        return try whileLocked { () throws(ImageError) in try commit(record, as: name) }
    }

    /// - Throws: `.invalidSource` unless every block is what the root hash says.
    private func check(
        _ disk: ApplianceManifest.Disk, called name: String, _ meter: ImportMeter
    ) throws(ImageError) {
        var check = HashTreeCheck(
            dataBlocks: disk.dataBlocks, rootHash: disk.rootHash,
            treeOffset: disk.dataBlocks * DiskPart.blockBytes)
        var damage: [HashTreeDamage] = []
        do throws(HostFileError) {
            let file = try HostFile(folders.blob(disk.part.digest))
            var buffer = [UInt8](repeating: 0, count: 1 << 20)
            var offset: UInt64 = 0
            let end = disk.dataBlocks * DiskPart.blockBytes
            while offset < end, damage.isEmpty {
                let count = try file.read(Int(min(UInt64(buffer.count), end - offset)), at: offset, into: &buffer)
                guard count > 0, count % Int(DiskPart.blockBytes) == 0 else { break }
                damage += try check.check(buffer.span.extracting(first: count), tree: file)
                offset += UInt64(count)
                meter.set(offset)
            }
        } catch {
            throw ImageError(error, in: .damagedStore)
        }
        guard damage.isEmpty, check.checkedBlocks == disk.dataBlocks else {
            throw ImageError(
                .invalidSource, "the disk of the appliance \(name) is not what the root hash in its manifest says")
        }
    }

    private func bytes(_ digest: SHA256Digest) throws(ApplianceError) -> [UInt8] {
        do throws(HostFileError) { return try folders.blob(digest).readWhole(limit: 1 << 20) } catch {
            throw ApplianceError(.invalid, "\(error)")
        }
    }

    // MARK: - Building

    /// Makes an appliance of an image's files and points a name at it. The same files, description and kernel make the same
    /// bytes.
    ///
    /// - Parameters:
    ///   - description: as the appliance's maker writes it; command, environment, user and folder come from the image, where
    ///     it does not say them.
    ///   - kernel: nil for the host's kernel.
    ///   - name: NAME:VERSION of the description if nil.
    @discardableResult
    public func buildAppliance(
        of image: StoredImage, description: [UInt8], schema: [UInt8]? = nil, kernel: ApplianceKernel? = nil,
        as name: String? = nil,
        progress: (ImportProgress) -> Void = { _ in }
    ) throws -> StoredImage {
        if let name { try ImageNames.check(name) }
        guard let rootHash = image.rootHash, image.dataBlockCount > 0 else {
            throw ImageError(.damagedStore, "the image \(image.shortDigest) is damaged; import it again")
        }
        let completed = try Self.complete(
            description, schema: schema, kernelArguments: kernel?.arguments ?? "", with: image.configuration)
        // Before anything is written.
        let about = try ApplianceDescription(parsing: completed)
        guard !about.command.isEmpty else {
            throw ApplianceError(
                .invalid, "neither the description nor the image says what \(about.name) runs; give it a \"command\"")
        }
        let name = name ?? "\(about.name):\(about.version)"
        return try measured(progress) { meter throws(ImageError) in
            let lease = try BlobLease(self)
            let disk = try keepDisk(of: image, lease, meter)
            let kernelPart = try kernel.map { kernel throws(ImageError) in
                try keepFile(HostPath(kernel.path), lease, meter)
            }
            let configuration = try keep(completed, lease)
            let manifest = ApplianceManifest(
                description: .init(digest: configuration, sizeBytes: UInt64(completed.count)),
                disk: .init(part: disk, rootHash: rootHash, dataBlocks: image.dataBlockCount), kernel: kernelPart)
            let digest = try keep(manifest.bytes, lease)
            let artifact: OCIImage
            do throws(OCIError) {
                artifact = try OCIImageReader(blobs).image(
                    digest, sizeBytes: UInt64(manifest.bytes.count), mediaType: OCIMediaType.manifest,
                    architecture: about.architecture)
            } catch {
                throw ImageError(error, source: name)
            }
            return try importArtifact(artifact, ApplianceManifest.artifactType, indexes: [], as: name, meter)
        }
    }

    /// The description with what the image says where it says nothing, in one form: sorted keys.
    private static func complete(
        _ bytes: [UInt8], schema: [UInt8]?, kernelArguments: String, with image: ImageConfiguration
    ) throws -> [UInt8] {
        guard var description = JSONValue(bytes), case .object = description else {
            throw ApplianceError(.invalid, "the description is no JSON object")
        }
        if let schema {
            guard let value = JSONValue(schema) else {
                throw ApplianceError(.invalid, "the schema is no JSON; comments cannot be in one that is built in")
            }
            guard description["settings"] == nil else {
                throw ApplianceError(.invalid, "the description has settings already; leave out --schema")
            }
            description["settings"] = value
        }
        if description["architecture"] == nil {
            let known = image.architecture.isEmpty ? ImportSettings.hostArchitecture : image.architecture
            description["architecture"] = .text(known)
        }
        func complete(_ field: String, _ value: JSONValue?) {
            if description[field] == nil { description[field] = value }
        }
        complete("kernel-arguments", kernelArguments.isEmpty ? nil : .text(kernelArguments))
        complete("command", .texts(image.entrypoint + image.command))
        complete("environment", .texts(image.environment))
        complete("user", image.user.isEmpty ? nil : .text(image.user))
        complete("working-directory", image.workingDirectory.isEmpty ? nil : .text(image.workingDirectory))
        return description.bytes
    }

    /// The image's disk as one blob.
    private func keepDisk(
        of image: StoredImage, _ lease: BlobLease, _ meter: ImportMeter
    ) throws(ImageError) -> ApplianceManifest.Part {
        meter.begin(.writing, bytesTotal: image.sizeBytes * 2)
        // The first time tells the digest, by which the second is kept.
        var hash = SHA256()
        try readDisk(of: image, meter) { bytes throws(ImageError) in hash.update(bytes) }
        let digest = hash.finalize()
        try lease.keep(digest)
        if let writer = try writer(digest, image.sizeBytes) {
            do throws(HostFileError) { try writer.restart() } catch { throw ImageError(error, in: .damagedStore) }
            try readDisk(of: image, meter) { bytes throws(ImageError) in try append(bytes, to: writer) }
            try writer.finish()
        }
        return .init(digest: digest, sizeBytes: image.sizeBytes)
    }

    private func readDisk(
        of image: StoredImage, _ meter: ImportMeter, _ body: (Span<UInt8>) throws(ImageError) -> Void
    ) throws(ImageError) {
        for path in image.diskPaths { try read(HostPath(path), in: .damagedStore, meter, body) }
    }

    private func keepFile(
        _ path: HostPath, _ lease: BlobLease, _ meter: ImportMeter
    ) throws(ImageError) -> ApplianceManifest.Part {
        var hash = SHA256()
        var sizeBytes: UInt64 = 0
        try read(path, in: .unreadableSource, meter) { bytes throws(ImageError) in
            hash.update(bytes)
            sizeBytes += UInt64(bytes.count)
        }
        let digest = hash.finalize()
        try lease.keep(digest)
        if let writer = try writer(digest, sizeBytes) {
            do throws(HostFileError) { try writer.restart() } catch { throw ImageError(error, in: .damagedStore) }
            try read(path, in: .unreadableSource, meter) { bytes throws(ImageError) in try append(bytes, to: writer) }
            try writer.finish()
        }
        return .init(digest: digest, sizeBytes: sizeBytes)
    }

    private func read(
        _ path: HostPath, in code: ImageError.Code, _ meter: ImportMeter,
        _ body: (Span<UInt8>) throws(ImageError) -> Void
    ) throws(ImageError) {
        let file: HostFile
        do { file = try HostFile(path) } catch { throw ImageError(error, in: code) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count: Int
            do throws(HostFileError) { count = try file.read(into: &buffer) } catch {
                throw ImageError(error, in: code)
            }
            if count == 0 { return }
            try body(buffer.span.extracting(first: count))
            meter.add(UInt64(count))
        }
    }
}

extension ImageConfiguration {
    /// What an appliance's description says about its program.
    init(_ description: ApplianceDescription) {
        self.init()
        entrypoint = description.command
        environment = description.environment
        user = description.user
        workingDirectory = description.workingDirectory
        architecture = description.architecture
        guard let health = description.health else { return }
        var check = HealthCheck()
        check.test = ["CMD"] + health.command
        check.intervalSeconds = Double(health.intervalMilliseconds) / 1000
        check.timeoutSeconds = Double(health.timeoutMilliseconds) / 1000
        check.startPeriodSeconds = Double(health.startMilliseconds) / 1000
        check.retries = health.retries
        healthCheck = check
    }
}
