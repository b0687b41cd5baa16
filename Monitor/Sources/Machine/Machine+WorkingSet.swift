import GuestMemory
import Jail
import LinuxCalls
public import Snapshots

/// Pages that a machine made from a snapshot will ask for, known from one that ran before.
extension Machine {
    /// What this machine has touched so far. It may run meanwhile.
    /// - Throws: when it was not made from a snapshot's memory file, or the process's page table cannot be seen.
    public func touchedPages() throws(MachineError) -> WorkingSet {
        do throws(LinuxError) {
            let (read, written) = try memory.touchedPages()
            return WorkingSet(read: read, written: written)
        } catch {
            throw error == .invalidArgument
                ? .notRestored : .system(doing: "look at the process's page table (/proc/self/pagemap)", error)
        }
    }

    /// The snapshot that it was made from, or the first one that was made of it.
    var oldestSnapshot: [UInt8]? { changes.parents.first }

    /// Begins to have the pages there, on a thread of its own: a file that is slow, or cannot be read, holds up nobody but
    /// who touches its pages.
    func startPrefetch(_ set: WorkingSet, _ confinement: Confinement) throws(LinuxError) {
        try startThread { [memory] in
            confinement.enter(.memory)
            do throws(LinuxError) {
                // In this order: what is written is fewer pages, and each costs more when it is waited for.
                try memory.prefetch(set.written, isWritten: true)
                try memory.prefetch(set.read, isWritten: false)
            } catch {
                writeToStandardError("swiftlet-vmm: the snapshot's memory cannot be read ahead: \(error)\n")
            }
        }
    }
}
