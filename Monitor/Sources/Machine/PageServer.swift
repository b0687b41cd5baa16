import GuestMemory
import Jail
import LinuxCalls
import Snapshots

/// Puts the pages of a snapshot's memory in their places when they are touched, each checked against the memory's root first.
/// On a thread of its own, for everybody else may be waiting for it.
///
/// What is not right never gets into guest memory. Nor does anybody go on who waits for such a page: a disk could be given what
/// was never written.
final class PageServer: EventHandler, @unchecked Sendable {
    private enum Token {
        static let fault: UInt32 = 0
        static let ahead: UInt32 = 1
    }
    private static let patienceMilliseconds: UInt64 = 2000
    /// So many pages are put there ahead until faults are looked for again.
    private static let pagesAtATime = 4

    private let memory: GuestMemory
    private let image: CheckedImage
    private let descriptor: Int32
    private let loop: EventLoop
    /// Nobody drains it: once it has fired, the loop comes back until all is there that is to be there ahead.
    private let timer: TimerFile
    // Of the loop's thread.
    private var aheadRegistration: EventRegistration?
    /// What is to be there ahead: the next run last.
    private var ahead: [PageRuns.Run] = []
    /// Told of what is not right, when the guest may have begun to run.
    private var whenWrong: (@Sendable (SnapshotError) -> Void)?
    /// The first trouble that there was.
    private var failure: SnapshotError?

    /// - Parameter memory: made to be served by this process, as large as the image.
    init(_ memory: GuestMemory, _ image: CheckedImage) throws(LinuxError) {
        guard let number = memory.pageServerNumber else { throw .invalidArgument }
        self.memory = memory
        self.image = image
        descriptor = number
        loop = try EventLoop()
        timer = try TimerFile()
        _ = try loop.add(descriptor, .readable, handler: self, token: Token.fault)
    }

    /// Begins to serve: before anybody touches the memory.
    func start() throws(LinuxError) { try startThread { [self] in loop.run() } }

    /// Whether all that was asked for before the guest runs was right. What was not was given as zeros meanwhile, so that
    /// whoever builds the machine is not held up.
    func check() throws(SnapshotError) {
        var found: SnapshotError?
        loop.perform { [self] in found = failure }
        if let found { throw found }
    }

    /// From here on nothing is given that is not right.
    func enter(_ confinement: Confinement, whenWrong: @escaping @Sendable (SnapshotError) -> Void) {
        loop.perform { [self] in
            confinement.enter(.memory)
            self.whenWrong = whenWrong
        }
    }

    /// Puts pages there before they are asked for, as far as faults leave time for it.
    func prefetch(_ pages: PageRuns) throws(LinuxError) {
        var failure: LinuxError?
        loop.perform { [self] in
            ahead = pages.runs.reversed()
            do throws(LinuxError) {
                aheadRegistration = try loop.add(
                    timer.descriptor.number, .readable, handler: self, token: Token.ahead)
                try timer.arm(firstNanoseconds: 1)
            } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Whether all that was asked for so far was right, for the machine's end.
    /// - Returns: nil when that cannot be told soon, for the file does not answer.
    var isFaultless: Bool? {
        var isSo: Bool?
        loop.perform(patienceMilliseconds: Self.patienceMilliseconds) { [self] in isSo = failure == nil }
        return isSo
    }

    /// Serves nobody any more; whoever waits for a page goes on with zeros.
    func end() {
        memory.endServing()
        loop.stop()
    }

    func handleEvent(token: UInt32, readiness: Readiness) {
        if token == Token.ahead { return placeAhead() }
        let (addresses, count) = UserFault.faults(descriptor)
        for index in 0..<count {
            if let page = memory.page(atHostAddress: addresses[index]) { place(page) }
        }
    }

    private func placeAhead() {
        for _ in 0..<Self.pagesAtATime {
            guard failure == nil, let run = ahead.popLast() else {
                if let aheadRegistration { loop.remove(aheadRegistration, timer.descriptor.number) }
                return
            }
            place(UInt64(run.first))
            if run.count > 1 { ahead.append(.init(first: run.first &+ 1, count: run.count &- 1)) }
        }
    }

    private func place(_ page: UInt64) {
        do throws(SnapshotError) {
            let isZero = try image.read(page: page)
            do throws(LinuxError) {
                if isZero { try memory.placeZeros(page) } else { try memory.placePage(page, from: image.room) }
            } catch { throw .file(error) }
        } catch {
            if failure == nil { failure = error }
            if let whenWrong { whenWrong(error) } else { try? memory.placeZeros(page) }
        }
    }
}
