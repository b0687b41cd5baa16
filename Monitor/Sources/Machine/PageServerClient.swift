import GuestMemory
import LinuxCalls

/// Hands guest memory to a process that puts its pages there, by the words of Firecracker's page fault handlers: one message
/// with the descriptor, whose text is a list of the regions.
enum PageServerClient {
    /// - Parameter path: the socket that the process listens on.
    static func memory(totalBytes: UInt64, hasHugePages: Bool, servedBy path: String) throws(LinuxError) -> GuestMemory
    {
        // First this: who is not there is found out before anything is made.
        let socket = try UnixSocket.connect(path)
        try setNonBlocking(socket.number, false)
        let memory = try GuestMemory(servedBytes: totalBytes, hasHugePages: hasHugePages)
        guard let number = memory.pageServerNumber else { throw .invalidArgument }
        let text = text(
            memory.servedRegions, pageBytes: hasHugePages ? GuestMemory.hugePageBytes : GuestMemory.pageBytes)
        try sendDescriptor(number, with: Array(text.utf8), over: socket.number)
        // Some handlers end when they see the end of the connection: it stays open as long as the process.
        _ = socket.release()
        return memory
    }

    /// Both page sizes are in bytes, as there.
    static func text(_ regions: [GuestMemory.ServedRegion], pageBytes: UInt64) -> String {
        var text = "["
        for region in regions {
            if text.utf8.count > 1 { text += "," }
            text += "{\"base_host_virt_addr\":\(region.address),\"size\":\(region.lengthBytes),"
            text += "\"offset\":\(region.fileOffset),\"page_size\":\(pageBytes),\"page_size_kib\":\(pageBytes)}"
        }
        return text + "]"
    }
}
