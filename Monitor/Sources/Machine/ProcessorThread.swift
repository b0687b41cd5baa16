import GuestMemory
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
    }

    private let processor: KVMVirtualCPU
    private let bus: PlatformBus
    private let memory: GuestMemory
    private let ended: @Sendable (MachineEnd) -> Void

    private let request = Atomic<UInt32>(Request.none)
    private let threadNumber = Atomic<Int32>(0)
    /// 1 when the thread has left its loop for good.
    private let isFinished = Atomic<UInt32>(0)
    /// The last examination: 0 none yet, 1 it may go on, 2 it never will.
    private let verdict = Atomic<UInt32>(0)

    /// - Parameter ended: called at most once by this thread, when the guest ends the machine's life.
    init(
        _ processor: consuming KVMVirtualCPU, bus: PlatformBus, memory: GuestMemory,
        ended: @escaping @Sendable (MachineEnd) -> Void
    ) {
        self.processor = processor
        self.bus = bus
        self.memory = memory
        self.ended = ended
    }

    /// Starts the guest on this processor.
    func start() throws(LinuxError) {
        try startThread { [self] in
            threadNumber.store(currentThreadNumber(), ordering: .sequentiallyConsistent)
            // Who asked before there was a number to signal to is heard here; see `ask`.
            if answerRequest(), let end = run() { ended(end) }
            isFinished.store(1, ordering: .releasing)
            wakeWaiters(isFinished, count: 1)
        }
    }

    /// Takes the processor out of its guest for good; returns when its thread touches the machine no more.
    func finish() {
        ask(Request.leave)
        while isFinished.load(ordering: .acquiring) == 0 { waitOnAddress(isFinished, while: 0) }
    }

    /// Either the thread's number is there already, or the thread looks at the request after it has written its number
    /// down: both sides write first and read then, in one order for all.
    private func ask(_ wanted: UInt32) {
        request.store(wanted, ordering: .sequentiallyConsistent)
        let number = threadNumber.load(ordering: .sequentiallyConsistent)
        if number != 0 { processor.kick.request(thread: number, signalNumber: SignalNumber.user1) }
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
    private func cannotRun(_ error: LinuxError) -> MachineEnd { .hostFault("KVM_RUN: \(error)") }

    /// Returns false when the thread is to end.
    private func answerRequest() -> Bool {
        // Cleared before it is looked at: a request that comes in between kicks again.
        processor.kick.clear()
        switch request.exchange(Request.none, ordering: .sequentiallyConsistent) {
        case Request.leave: return false
        case Request.examine:
            let isStuck = ((try? processor.canNeverWake()) ?? false)
            verdict.store(isStuck ? 2 : 1, ordering: .releasing)
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
