import CLinux
import GuestMemory
import Jail
import KVMHost
import LinuxCalls
import Synchronization

/// One processor and the thread that runs it. The rest of the machine sees only what is atomic here.
final class ProcessorThread: @unchecked Sendable {
    /// What another thread wants of the processor once it is out of the guest.
    private enum Request {
        static let none: UInt32 = 0
        static let leave: UInt32 = 1
        static let examine: UInt32 = 2
        static let standStill: UInt32 = 3
    }

    private let processor: KVMVirtualCPU
    private let bus: PlatformBus
    private let memory: GuestMemory
    private let ended: @Sendable (MachineEnd) -> Void

    private let request = Atomic<UInt32>(Request.none)
    private let threadNumber = Atomic<Int32>(0)
    /// 1 when the thread has left its loop for good.
    private let isFinished = Atomic<UInt32>(0)
    /// 1 while the processor is to stand still.
    private let hold: Atomic<UInt32>
    /// 1 while the thread waits for `hold` to end, and when it has ended itself.
    private let isStandingStill = Atomic<UInt32>(0)
    /// Of the machine's thread.
    private var isStarted = false
    /// The last examination: 0 none yet, 1 it may go on, 2 it never will.
    private let verdict = Atomic<UInt32>(0)

    /// - Parameters:
    ///   - isHeld: whether the thread begins by standing still.
    ///   - ended: called at most once by this thread, when the guest ends the machine's life.
    init(
        _ processor: consuming KVMVirtualCPU, bus: PlatformBus, memory: GuestMemory, isHeld: Bool = false,
        ended: @escaping @Sendable (MachineEnd) -> Void
    ) {
        self.processor = processor
        self.bus = bus
        self.memory = memory
        self.ended = ended
        hold = Atomic(isHeld ? 1 : 0)
    }

    /// Starts the guest on this processor.
    func start(_ confinement: Confinement) throws(LinuxError) {
        try startThread { [self] in
            confinement.enter(.processor)
            threadNumber.store(currentThreadNumber(), ordering: .sequentiallyConsistent)
            standStillWhileHeld()
            // Who asked before there was a number to signal to is heard here; see `ask`.
            if answerRequest(), let end = run() { ended(end) }
            isFinished.store(1, ordering: .releasing)
            wakeWaiters(isFinished, count: 1)
            isStandingStill.store(1, ordering: .releasing)
            wakeWaiters(isStandingStill, count: Int(Int32.max))
        }
        isStarted = true
    }

    /// Takes the processor out of its guest for good, soon.
    func leave() {
        guard isStarted else { return }
        ask(Request.leave)
        letRun()
    }

    /// After `leave`: returns when the processor's thread touches the machine no more.
    func finish() {
        guard isStarted else { return }
        while isFinished.load(ordering: .acquiring) == 0 { waitOnAddress(isFinished, while: 0) }
    }

    /// Either the thread's number is there already, or the thread looks at the request after it has written its number
    /// down: both sides write first and read then, in one order for all.
    private func ask(_ wanted: UInt32) {
        request.store(wanted, ordering: .sequentiallyConsistent)
        let number = threadNumber.load(ordering: .sequentiallyConsistent)
        if number != 0 { processor.kick.request(thread: number, signalNumber: SignalNumber.user1) }
    }

    // MARK: Standing still

    /// Asks the processor to stand still; `waitUntilStill` tells when it does. What the guest had begun is finished then:
    /// registers and memory are those between two instructions.
    func holdStill() {
        hold.store(1, ordering: .sequentiallyConsistent)
        ask(Request.standStill)
    }

    /// Returns when the processor stands still, or its thread has ended. After `start` only.
    func waitUntilStill() {
        while isStandingStill.load(ordering: .acquiring) == 0 { waitOnAddress(isStandingStill, while: 0) }
    }

    /// Lets the guest go on.
    func letRun() {
        hold.store(0, ordering: .sequentiallyConsistent)
        wakeWaiters(hold, count: 1)
    }

    /// The processor itself, for whoever has made it stand still.
    func withStillProcessor<Value, Failure: Error>(
        _ body: (borrowing KVMVirtualCPU) throws(Failure) -> Value
    ) throws(Failure) -> Value { try body(processor) }

    /// On the thread itself, out of the guest.
    private func standStillWhileHeld() {
        // Held again before it has noticed that it may run, the thread comes back here without having entered the guest.
        while hold.load(ordering: .sequentiallyConsistent) == 1 {
            isStandingStill.store(1, ordering: .sequentiallyConsistent)
            wakeWaiters(isStandingStill, count: Int(Int32.max))
            while hold.load(ordering: .acquiring) == 1 { waitOnAddress(hold, while: 1) }
            processor.notePause()
            isStandingStill.store(0, ordering: .sequentiallyConsistent)
        }
    }

    // MARK: Looking for a guest that will never go on

    /// Nanoseconds of processor time that the thread has used.
    var usedNanoseconds: UInt64 { threadProcessorTime(threadNumber.load(ordering: .acquiring)) }

    /// Asks the processor whether it can ever go on; `isStuck` tells when it has looked.
    func examine() {
        verdict.store(0, ordering: .releasing)
        ask(Request.examine)
    }

    /// The answer to the last `examine`; nil while there is none.
    var isStuck: Bool? {
        switch verdict.load(ordering: .acquiring) {
        case 1: false
        case 2: true
        default: nil
        }
    }

    // MARK: The processor's own thread

    private func run() -> MachineEnd? {
        while true {
            do throws(LinuxError) {
                let reason = try processor.run()
                if let end = serve(reason) { return end }
            } catch {
                switch error {
                case .interrupted, .tryAgain: if !answerRequest() { return nil }
                default: return cannotRun(error)
                }
            }
        }
    }

    @inline(never)
    private func cannotRun(_ error: LinuxError) -> MachineEnd {
        // Pages of the machine's own are always there; those of a file are, as long as the file.
        let cause = error.number == EFAULT ? " (a file that is the guest's memory is shorter than it was?)" : ""
        return .hostFault("KVM_RUN: \(error)\(cause)")
    }

    /// Returns false when the thread is to end.
    private func answerRequest() -> Bool {
        // Cleared before it is looked at: a request that comes in between kicks again.
        processor.kick.clear()
        switch request.exchange(Request.none, ordering: .sequentiallyConsistent) {
        case Request.leave: return false
        case Request.examine:
            let isStuck = ((try? processor.canNeverWake()) ?? false)
            verdict.store(isStuck ? 2 : 1, ordering: .releasing)
        case Request.standStill: standStillWhileHeld()
        default: break
        }
        return true
    }

    /// Deals with one exit; returns how the machine ended when that ended it.
    @inline(__always)
    private func serve(_ reason: KVMExitReason) -> MachineEnd? {
        switch reason {
        case .memoryAccess: serveMemoryAccess()
        case .portAccess: return servePortAccess()
        case .interrupted, .endOfInterrupt, .halted: break
        default: return end(reason)
        }
        return nil
    }

    @inline(__always)
    private func serveMemoryAccess() {
        let access = processor.memoryAccess
        if access.isWrite {
            bus.writeMemory(access.address, widthBytes: access.widthBytes, access.data)
        } else {
            processor.setMemoryData(bus.readMemory(access.address, widthBytes: access.widthBytes))
        }
    }

    @inline(__always)
    private func servePortAccess() -> MachineEnd? {
        let access = processor.portAccess
        var index: UInt32 = 0
        while index < access.count {
            if access.isWrite {
                switch bus.writePort(access.port, processor.portData(access, index)) {
                case .none: break
                case .powerOff: return .poweredOff
                case .reset: return .reset
                }
            } else {
                processor.setPortData(access, index, bus.readPort(access.port, widthBytes: access.widthBytes))
            }
            index &+= 1
        }
        return nil
    }

    @inline(never)
    private func end(_ reason: KVMExitReason) -> MachineEnd {
        switch reason {
        case .shutDown: return .tripleFault(report)
        case .internalError:
            return .internalError("  KVM internal error \(processor.internalErrorKind) (linux/kvm.h)\n\(report)")
        case .entryFailed:
            return .internalError("  the processor refused to enter, reason \(processor.entryFailureReason)\n\(report)")
        case .systemEvent:
            switch processor.systemEventKind {
            case 1: return .poweredOff
            case 2: return .reset
            default: return .internalError("  the guest reported a crash to KVM\n\(report)")
            }
        default: return .internalError("  unknown exit \(reason.rawValue) (linux/kvm.h)\n\(report)")
        }
    }

    private var report: String { ProcessorReport.describe(processor, memory) }
}
