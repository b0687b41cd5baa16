import Archives
import FileTrees
import HostFiles
import OCIImages

/// Reads what is to be imported, whatever it is.
struct ImportSource {
    /// A path, or `-` for standard input.
    let name: String
    let settings: ImportSettings
    /// Its temporary folder is where scratch files may lie.
    let store: ImageStore
    let meter: ImportMeter

    /// Whatever it is, as files.
    func readFiles() throws(ImageError) -> FileTree {
        meter.begin(.reading, bytesTotal: nil)
        let files: FileTree
        do {
            files = try name == "-" ? readPipe() : readNamed(HostPath(name))
        } catch {
            throw ImageError(error, source: name)
        }
        guard meter.entries > 0 else {
            throw ImageError(.invalidSource, "\(name) is empty; there is nothing in it")
        }
        return files
    }

    /// The images in it, if it is an archive of some.
    func archive(_ files: FileTree) throws(ImageError) -> ImageArchive? {
        do { return try ImageArchive(files) } catch { throw ImageError(error, source: name) }
    }

    private func readNamed(_ path: HostPath) throws(FileTreeError) -> FileTree {
        let status: FileStatus
        let file: HostFile
        do throws(HostFileError) {
            status = try path.status()
            if status.isFolder {
                file = try HostFile(path, [.readOnly, .directory])
            } else {
                file = try HostFile(path)
            }
        } catch {
            throw .host(error)
        }
        if status.isFolder { return try FileTree(scanning: path, limits: settings.limits) { meter.entries = $0 } }
        guard status.isRegularFile else { return try readTar(PipeByteSource(file), inPlace: nil) }
        meter.begin(.reading, bytesTotal: status.sizeBytes)
        var head = [UInt8](repeating: 0, count: ArchiveFormat.headBytes)
        let format: ArchiveFormat
        let content: HostFile
        do throws(HostFileError) {
            let count = try file.read(head.count, at: 0, into: &head)
            head.removeLast(head.count - count)
            content = try file.duplicate()
        } catch {
            throw .host(error)
        }
        do { format = try ArchiveFormat.recognize(head) } catch { throw .archive(error) }
        // A plain tar keeps the content until the disk is written; anything else is unpacked into a scratch file.
        return try readTar(
            FileByteSource(file, range: 0..<status.sizeBytes), inPlace: format == .tar ? ContentSource(content) : nil)
    }

    private func readPipe() throws(FileTreeError) -> FileTree {
        let file: HostFile
        do { file = try HostFile.standardInput() } catch { throw .host(error) }
        return try readTar(PipeByteSource(file), inPlace: nil)
    }

    private func readTar(_ source: any ByteSource, inPlace content: ContentSource?) throws(FileTreeError) -> FileTree {
        let reader: ByteReader
        do throws(ArchiveError) {
            reader = ByteReader(
                try ArchiveFormat.decompressed(CountingByteSource(source, meter.add)),
                limit: settings.maximumContentBytes)
        } catch {
            throw .archive(error)
        }
        let place: TreeBuilder.ContentPlace
        if let content {
            place = .inPlace(content)
        } else {
            do { place = .spool(try ContentSpool(in: store.folders.temporary)) } catch { throw .host(error) }
        }
        let builder = TreeBuilder(limits: settings.limits)
        try builder.add(reader, content: place, hasWhiteouts: false) { meter.entries = $0.entryCount }
        return builder.tree
    }
}

extension ImageConfiguration {
    init(_ image: OCIImage) {
        self.init()
        entrypoint = image.entrypoint
        command = image.command
        environment = image.environment
        user = image.user
        workingDirectory = image.workingDirectory
        labels = image.labels
        exposedPorts = image.exposedPorts
        volumes = image.volumes
        stopSignal = image.stopSignal
        healthCheck = image.healthCheck.map(HealthCheck.init)
        architecture = image.architecture
    }

    /// What the person who imports says stands above what the image says.
    mutating func apply(_ overrides: ImportSettings.Overrides) throws(ImageError) {
        // A new entry point makes the old command meaningless, as in the container engines.
        if let value = overrides.entrypoint { (entrypoint, command) = (value, []) }
        if let value = overrides.command { command = value }
        for assignment in overrides.environment {
            guard let equals = assignment.firstIndex(of: "="), equals > assignment.startIndex else {
                throw ImageError(
                    .invalidName, "\"\(assignment.prefix(80))\" is no environment; it is written NAME=value")
            }
            let name = assignment[...equals]
            environment.removeAll { $0.hasPrefix(name) }
            environment.append(assignment)
        }
        if let value = overrides.user { user = value }
        if let value = overrides.workingDirectory { workingDirectory = value }
        labels.merge(overrides.labels) { $1 }
    }
}
