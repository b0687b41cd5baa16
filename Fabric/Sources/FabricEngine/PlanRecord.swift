import AgentProtocol
import FabricProtocol
import LinuxCalls
import WireFormats

/// What an engine was told, as a file: a line with all of it, and one for each change since, so that a change costs the same
/// however much there is.
final class PlanRecord {
    /// Changes are gathered until they are about as many as what they change.
    private static let leastChanges = 64

    private let path: String
    private var file: FileDescriptor?
    private var changes = 0
    private var lengthBytes: UInt64 = 0

    init(_ path: String) { self.path = path }

    /// - Throws: when it cannot be read, or does not say what a plan is.
    func read() throws(FabricFault) -> FabricPlan {
        var plan = FabricPlan()
        guard let bytes = EngineFolder.read(path, maximumBytes: 64 << 20) else { return plan }
        // The end of one that was being written belongs to a change that nobody was told had been made.
        for line in bytes.split(separator: 0x0a).prefix(bytes.count { $0 == 0x0a }) {
            guard case .change(let change) = try FabricRequest(parsing: Array(line)) else { continue }
            plan = try plan.after(change)
        }
        return plan
    }

    /// Writes a change down. When it throws, what was written before is what is read again.
    func note(_ change: FabricChange, leadingTo plan: FabricPlan) throws(FabricFault) {
        if change.isWhole || file == nil || changes > plan.ports.count + Self.leastChanges {
            let bytes = Self.line(plan.asChange)
            try EngineFolder.write(bytes, to: path)
            file = try? open(path, [.writeOnly, .append])
            (changes, lengthBytes) = (0, UInt64(bytes.count))
            return
        }
        let bytes = Self.line(change)
        do throws(LinuxError) {
            guard let number = file?.number else { return }
            do throws(LinuxError) { try writeAll(number, bytes) } catch {
                try? changeLength(number, lengthBytes: lengthBytes)
                throw error
            }
        } catch {
            throw FabricFault("\(path) cannot be written: \(error)")
        }
        lengthBytes += UInt64(bytes.count)
        changes += 1
    }

    private static func line(_ change: FabricChange) -> [UInt8] {
        var bytes: [UInt8] = []
        FabricRequest.change(change).document.write(to: &bytes)
        bytes.append(0x0a)
        return bytes
    }
}
