public import GuestMemory
public import LinuxCalls

/// A folder of this host, served to one guest; belongs to the thread of the device that serves it.
public final class FolderService {
    private var server: FolderServer

    /// - Parameter root: the folder, opened with O_PATH.
    /// - Throws: ENOTDIR when it is none, or what the host lacks.
    public init(_ root: consuming FileDescriptor, _ settings: FolderSettings) throws(LinuxError) {
        server = try FolderServer(root, settings)
    }

    /// Serves one request.
    ///
    /// - Parameters:
    ///   - readable: the request; what it carries is taken from it.
    ///   - writable: room for the answer.
    ///   - now: what the monotonic clock says, in nanoseconds.
    /// - Returns: how many bytes were written; zero for requests that want no answer.
    public func serve(
        _ readable: inout IOVectorList, _ writable: inout IOVectorList, now: UInt64
    ) -> UInt32 {
        server.serve(&readable, &writable, now: now)
    }

    /// Forgets the guest: closes what it has open, and what it remembers is gone.
    public func reset() { server.reset() }

    public var metrics: FolderMetrics { server.metrics }
    /// How many files the guest remembers, the folder itself included.
    public var rememberedFiles: Int { server.nodes.count }
    public var openFiles: Int { server.open.count }
    /// Descriptors that are held, the folder's own included.
    public var descriptors: Int { 1 + server.open.count + server.folders.count }
}
