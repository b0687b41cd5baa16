public import AgentProtocol
internal import LinuxCalls

/// Reads a file, or a directory with all that lies in it, as a sequence of transfer messages.
///
/// Symbolic links inside are sent as links. Sockets, devices and pipes are passed over. Holds one open descriptor for each
/// level of directories and one piece of contents.
public final class FileSender {
    /// The most directories inside one another; more are refused.
    public static let maximumDepth = 256

    private final class Folder {
        let file: FileDescriptor
        let path: ByteString
        var names: ArraySlice<[UInt8]>

        init(_ file: consuming FileDescriptor, _ path: ByteString) throws(LinuxError) {
            names = try FileTree.names(in: file.number)[...]
            self.file = file
            self.path = path
        }
    }

    private var folders: [Folder] = []
    private var current: FileDescriptor?
    private var first: (file: Int32, facts: FileFacts)?
    private var isFinished = false
    private let path: ByteString

    /// - Parameters:
    ///   - path: absolute; followed if it is a symbolic link.
    ///   - root: an open directory that the path does not leave, whatever links say.
    public init(_ path: ByteString, root: Int32) throws(Failure) {
        self.path = path
        do throws(LinuxError) {
            let file = try FileTree.open(path.bytes, asRoot: root, [.readOnly, .nonBlocking, .noControllingTerminal])
            first = (file.number, try FileTree.facts(in: file.number))
            current = consume file
        } catch {
            throw Failure(error == .noEntry ? .noSuchFile : .fileSystem, error, "\"" + path + "\"")
        }
    }

    /// The next message, `end` as the last one, and then nil.
    public func next() throws(Failure) -> TransferMessage? {
        do throws(LinuxError) {
            return try nextMessage()
        } catch {
            isFinished = true
            throw Failure(.fileSystem, error, "reading below \"" + path + "\"")
        }
    }

    private func nextMessage() throws(LinuxError) -> TransferMessage? {
        if isFinished { return nil }
        if let (_, facts) = first {
            first = nil
            guard let file = current.take() else { return nil }
            guard let entry = try begin(file, facts, path: "") else { throw LinuxError.invalidArgument }
            return .entry(entry)
        }
        if let message = try nextData() { return message }
        while let folder = folders.last {
            guard let name = folder.names.popFirst() else {
                folders.removeLast()
                continue
            }
            let path = folder.path.isEmpty ? ByteString(name) : folder.path + "/" + ByteString(name)
            guard path.count <= Limits.pathBytes else { throw LinuxError.nameTooLong }
            if let entry = try entry(name, folder, path) { return .entry(entry) }
        }
        isFinished = true
        return .end
    }

    private func nextData() throws(LinuxError) -> TransferMessage? {
        guard let number = current?.number else { return nil }
        var bytes: [UInt8] = []
        if try read(number, appendingTo: &bytes, maximumBytes: Limits.transferDataBytes) > 0 { return .data(bytes) }
        current = nil
        return nil
    }

    /// The entry for a name in a folder, or nil for what is not sent. One that has just gone is passed over.
    private func entry(_ name: [UInt8], _ folder: Folder, _ path: ByteString) throws(LinuxError) -> TransferEntry? {
        let facts: FileFacts
        do throws(LinuxError) {
            facts = try FileTree.facts(name, in: folder.file.number)
            switch facts.kind {
            case .symbolicLink:
                let target = ByteString(try FileTree.readLink(name, in: folder.file.number))
                return target.isEmpty ? nil : make(.symbolicLink(target: target), path, facts)
            case .other: return nil
            case .regular, .directory:
                let file = try FileTree.open(
                    name, in: folder.file.number, [.readOnly, .nonBlocking, .noFollow, .noControllingTerminal])
                let its = try FileTree.facts(in: file.number)
                return try begin(file, its, path: path)
            }
        } catch {
            if error == .noEntry { return nil }
            throw error
        }
    }

    private func begin(
        _ file: consuming FileDescriptor, _ facts: FileFacts, path: ByteString
    ) throws(LinuxError) -> TransferEntry? {
        switch facts.kind {
        case .regular:
            current = consume file
            return make(.regular(sizeBytes: facts.sizeBytes), path, facts)
        case .directory:
            guard folders.count < Self.maximumDepth else { throw LinuxError.tooManyLevels }
            folders.append(try Folder(file, path))
            return make(.directory, path, facts)
        default: return nil
        }
    }

    private func make(_ kind: TransferEntry.Kind, _ path: ByteString, _ facts: FileFacts) -> TransferEntry {
        TransferEntry(
            kind, path: path, permissions: UInt16(facts.mode & 0o7777), userID: facts.userID, groupID: facts.groupID,
            modifiedNanoseconds: UInt64(bitPattern: facts.modifiedNanoseconds))
    }
}
