import Fleet
import HostFiles
import LinuxCalls

/// A log that grows while it is read, and is turned over to `….1` when it is full.
struct LogFile: ~Copyable {
    private let path: HostPath
    /// Nil as long as there is none.
    private var file: HostFile?
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    init(_ path: HostPath) {
        self.path = path
        file = try? HostFile(path)
    }

    /// What was turned over.
    func before(limit: Int) -> [UInt8] { (try? HostPath("\(path).1").readWhole(limit: limit)) ?? [] }

    /// What has been written since the last call.
    mutating func readOn(_ take: (ArraySlice<UInt8>) -> Void) {
        if file == nil { file = try? HostFile(path) }
        while let count = try? file?.read(into: &buffer), count > 0 { take(buffer[..<count]) }
    }

    /// Reads on as more is written, until the machine ends.
    /// - Parameter isOnce: only what is there already.
    mutating func follow(
        _ record: MachineRecord, in store: MachineStore, isOnce: Bool, _ take: (ArraySlice<UInt8>) -> Void
    ) {
        while true {
            // Asked before the file is read to its end, so that nothing written last is missed.
            let isOver = isOnce || ((try? store.find(record.id))?.state.isOver ?? true)
            readOn(take)
            if isOver { return }
            LinuxCalls.sleep(nanoseconds: 50_000_000)
            if let now = try? path.status(), let open = try? file?.status(), now.inodeNumber != open.inodeNumber {
                readOn(take)
                file = try? HostFile(path)
            }
        }
    }
}
