import GuestMemory
import Jail
import LinuxCalls
import Snapshots
import Synchronization

/// A thread for memory of huge pages, apart from everybody who may wait for one of them: it puts a snapshot's pages in their
/// places when they are touched, and keeps memory as it was at one instant (`beginKeeping`).
final class HugePageServer: EventHandler, @unchecked Sendable {
    private enum Token {
        static let missing: UInt32 = 0
        static let protected: UInt32 = 1
        static let ahead: UInt32 = 2
    }
    private static let patienceMilliseconds: UInt64 = 2000

    let memory: GuestMemory
    let loop: EventLoop
    /// The snapshot's memory file, when its pages are put in their places here.
    private let image: Mapping?
    private let imageAddress: UInt64?
    /// A page of zeros, which takes no memory.
    private let zeros: Mapping
    /// For pages that are kept; nil where the kernel cannot do it, or this user may not ask for it (`refusal`).
    let protection: Int32?
    private let protectionFile: FileDescriptor?
    private(set) var refusal = LinuxError.invalidArgument
    /// Nobody drains it: the loop comes back until all is there that is to be there ahead.
    private let timer: TimerFile
    /// Whether the machine ends.
    let isOver = Atomic<Bool>(false)

    // Of the loop's thread.
    var kept: KeptPages?
    private var ahead: [UInt64] = []
    private var aheadRegistration: EventRegistration?
    private var whenWrong: (@Sendable (SnapshotError) -> Void)?
    private var failure: SnapshotError?

    /// - Parameter image: of memory that was made for this process to put its pages there; nil: the pages come from elsewhere.
    init(_ memory: GuestMemory, _ image: consuming MemoryImage? = nil) throws(LinuxError) {
        self.memory = memory
        loop = try EventLoop()
        timer = try TimerFile()
        zeros = try Mapping(anonymousBytes: Int(GuestMemory.hugePageBytes))
        if let image = image.take() {
            let mapping = try Mapping(
                privately: image.file.number, lengthBytes: Int(truncatingIfNeeded: image.memoryBytes))
            imageAddress = mapping.address
            self.image = consume mapping
        } else {
            imageAddress = nil
            self.image = nil
        }
        do throws(LinuxError) {
            let file = try UserFault.make(UserFault.Feature.protection)
            protection = file.number
            protectionFile = consume file
        } catch {
            protection = nil
            protectionFile = nil
            refusal = error
        }
        if imageAddress != nil, let number = memory.pageServerNumber {
            _ = try loop.add(number, .readable, handler: self, token: Token.missing)
        }
        if let protection { _ = try loop.add(protection, .readable, handler: self, token: Token.protected) }
    }

    /// Begins to serve. Of pages that are missing: before anybody touches the memory.
    func start() throws(LinuxError) { try startThread { [self] in loop.run() } }

    var placesPages: Bool { imageAddress != nil }

    /// Whether all that was asked for before the guest runs could be read.
    func check() throws(SnapshotError) {
        var found: SnapshotError?
        loop.perform { [self] in found = failure }
        if let found { throw found }
    }

    /// From here on a page that cannot be read ends the machine.
    func enter(_ confinement: Confinement, whenWrong: @escaping @Sendable (SnapshotError) -> Void) {
        loop.perform { [self] in
            confinement.enter(.memory)
            self.whenWrong = whenWrong
        }
    }

    /// Puts those pages there before they are asked for of which a part is wanted.
    func prefetch(_ pages: PageRuns) throws(LinuxError) {
        try timer.arm(firstNanoseconds: 1)
        var failure: LinuxError?
        loop.perform { [self] in
            let perPage = GuestMemory.hugePageBytes / GuestMemory.pageBytes
            for run in pages.runs {
                for page in UInt64(run.first) / perPage...(UInt64(run.first) + UInt64(run.count) - 1) / perPage
                where ahead.last != page { ahead.append(page) }
            }
            ahead.reverse()
            do throws(LinuxError) {
                aheadRegistration = try loop.add(
                    timer.descriptor.number, .readable, handler: self, token: Token.ahead)
            } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Lets go of who waits to write, for the machine's end. Who waits for a page gets it, or the process ends: what is to be
    /// written to a disk may lie on it.
    /// - Returns: false when the snapshot's file does not answer.
    func letGo() -> Bool {
        isOver.store(true, ordering: .releasing)
        if let protection { memory.endKeeping(protection) }
        if !placesPages { return true }
        return loop.perform(patienceMilliseconds: Self.patienceMilliseconds) {}
    }

    /// Serves nobody any more.
    func end() {
        memory.endServing()
        loop.stop()
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        switch token {
        case Token.ahead:
            guard failure == nil, let page = ahead.popLast() else {
                if let aheadRegistration { loop.remove(aheadRegistration, timer.descriptor.number) }
                return
            }
            place(page)
        case Token.protected: writeWaitedFor()
        default:
            guard let number = memory.pageServerNumber else { return }
            let (addresses, count) = UserFault.faults(number)
            for index in 0..<count {
                if let page = memory.hugePage(atHostAddress: addresses[index]) { place(page) }
            }
        }
    }

    private func place(_ page: UInt64) {
        guard let imageAddress else { return }
        do throws(LinuxError) { try memory.placeHugePage(page, from: imageAddress, zeros: zeros.address) } catch {
            if failure == nil { failure = .file(error) }
            if let whenWrong { whenWrong(.file(error)) } else { memory.endServing() }
        }
    }
}
