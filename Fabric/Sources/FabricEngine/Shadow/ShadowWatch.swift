import AgentProtocol
import CLinux
public import FabricProtocol
import LinuxCalls
public import WireFormats
import Wiring

/// Looks at the ends of an appliance and of its shadow for a time, and tells what each let through. In the fabric's network namespace,
/// with one thread.
public final class ShadowWatch {
    /// What is still under way in them may leave them so much later.
    private static let graceNanoseconds: UInt64 = 500_000_000
    /// Those of one end do not keep the others waiting.
    private static let mostFramesAtOnce = 64
    /// The numbers of the system calls that it makes once it is open.
    private static let calls: [Int32] = [
        __NR_read, __NR_write, __NR_recvfrom, __NR_getsockopt, __NR_epoll_pwait, __NR_close, __NR_futex,
        __NR_getrandom, __NR_gettid,
    ]

    private let loop: EventLoop
    private let wish = Wish()
    /// The inner and outer end of the appliance in line, and those of the other.
    private let ends: [FrameTap]

    /// Opens what is looked at.
    /// - Parameters:
    ///   - present: the inner and outer end of the appliance in line.
    ///   - shadow: those of the other.
    public init(
        present: (inside: UInt16, outside: UInt16), shadow: (inside: UInt16, outside: UInt16)
    ) throws(FabricFault) {
        do throws(LinuxError) {
            loop = try EventLoop()
            var links = try Links()
            ends = [
                try Self.tap(present.inside, &links), try Self.tap(present.outside, &links),
                try Self.tap(shadow.inside, &links), try Self.tap(shadow.outside, &links),
            ]
        } catch { throw Self.fault(error) }
    }

    /// Gives up every right that is not needed to look, for good, and has the end of standard input be that of all: whoever wants this to
    /// be told has the other end.
    public func confine() throws(FabricFault) {
        do throws(LinuxError) {
            // A file is never waited for.
            _ = try? loop.add(0, .readable, handler: wish)
            try Confinement.enter(Self.calls)
        } catch { throw Self.fault(error) }
    }

    /// - Returns: nil when nobody wants to be told any more.
    public func run(milliseconds: UInt64) -> JSONValue? {
        let end = Clock.monotonic.nanoseconds() + milliseconds * 1_000_000
        var comparison = ShadowComparison()
        while !wish.isOver {
            let now = Clock.monotonic.nanoseconds()
            if now >= end + Self.graceNanoseconds {
                for tap in ends { comparison.unseen += UInt64(tap.takeLost()) }
                return comparison.result()
            }
            let isIdle = take(&comparison, entering: now < end)
            // What comes within a millisecond is taken together.
            loop.runOnce(timeoutMilliseconds: isIdle ? 1 : 0)
        }
        return nil
    }

    /// Takes what there is, or some of it from everywhere.
    /// - Parameter isEntering: whether frames that go in now count.
    /// - Returns: whether there was nothing.
    private func take(_ comparison: inout ShadowComparison, entering isEntering: Bool) -> Bool {
        var isIdle = true
        for place in ends.indices {
            for _ in 0..<Self.mostFramesAtOnce {
                guard let (bytes, length, isSent) = ends[place].next() else { break }
                isIdle = false
                guard let frame = FrameIdentity(bytes, length: length) else { continue }
                let isInner = place % 2 == 0
                if isSent {
                    if place < 2, isEntering { comparison.enters(frame, isOutward: isInner) }
                } else {
                    comparison.leaves(frame, isOutward: !isInner, place < 2 ? .present : .shadow)
                }
            }
        }
        return isIdle
    }

    private static func tap(_ port: UInt16, _ links: inout Links) throws(LinuxError) -> FrameTap {
        guard let link = try links.find(ByteString(FabricPort.tap(port))) else { throw .noDevice }
        return try FrameTap(link.index)
    }

    private static func fault(_ error: LinuxError) -> FabricFault {
        FabricFault("what goes through appliances cannot be looked at: \(error)")
    }
}

/// Whether somebody still wants what this process was started for: until standard input ends, which it does when its other end is closed,
/// or whoever has that is killed.
private final class Wish: EventHandler {
    private(set) var isOver = false

    func handleEvent(token: UInt32, readiness: Readiness) {
        var byte: [UInt8] = [0]
        if (try? read(0, over: &byte)) ?? 0 == 0 { isOver = true }
    }
}
