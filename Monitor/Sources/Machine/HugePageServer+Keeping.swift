import GuestMemory
import LinuxCalls
import Synchronization

/// Pages that are written to a snapshot's file as they were at one instant. Of one thread.
final class KeptPages {
    fileprivate let file: FileDescriptor
    fileprivate var isWritten: [Bool]
    fileprivate var failure: LinuxError?

    fileprivate init(_ file: consuming FileDescriptor, count: Int) {
        self.file = file
        isWritten = [Bool](repeating: false, count: count)
    }
}

/// Memory as it is at one instant, while the guest goes on: every page is protected, and who writes one waits until it is in
/// the file. So nothing is copied to the side, and the pool of huge pages need not have more of them.
extension HugePageServer {
    /// Keeps all pages as they are now. The guest must stand still, and may go on as soon as this returns.
    /// - Parameter file: empty; the pages come there, those that the guest writes first and the others with `finishKeeping`.
    func beginKeeping(_ file: Int32) throws(LinuxError) {
        guard let protection else { throw refusal }
        try changeLength(file, lengthBytes: memory.totalBytes)
        var duplicate: FileDescriptor? = try FileDescriptor(duplicating: file)
        var failure: LinuxError?
        loop.perform { [self] in
            do throws(LinuxError) {
                // One that nobody finished.
                if kept != nil { memory.endKeeping(protection) }
                kept = nil
                guard let file = duplicate.take() else { return }
                try memory.beginKeeping(protection)
                kept = KeptPages(file, count: Int(memory.hugePageCount))
            } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Writes all pages that are not written yet, and returns when the file has them all.
    func finishKeeping() throws(LinuxError) {
        var failure: LinuxError?
        loop.perform { [self] in
            guard let kept, let protection else { return }
            var page = 0
            while page < kept.isWritten.count, kept.failure == nil {
                if isOver.load(ordering: .acquiring) { kept.failure = .interrupted }
                // Who waits comes first.
                writeWaitedFor()
                write(UInt64(page))
                page += 1
            }
            memory.endKeeping(protection)
            failure = kept.failure
            self.kept = nil
        }
        if let failure { throw failure }
    }

    func writeWaitedFor() {
        guard let protection else { return }
        let (addresses, count) = UserFault.faults(protection)
        for index in 0..<count {
            if let page = memory.hugePage(atHostAddress: addresses[index]) { write(page) }
        }
    }

    /// Writes a page to the file, unless it is there, and lets the guest write it.
    private func write(_ page: UInt64) {
        guard let kept, let protection, kept.failure == nil, !kept.isWritten[Int(page)] else { return }
        do throws(LinuxError) {
            try memory.writeHugePage(page, to: kept.file.number)
            kept.isWritten[Int(page)] = true
            try memory.letWrite(page, protection)
        } catch {
            kept.failure = error
            memory.endKeeping(protection)
        }
    }
}
