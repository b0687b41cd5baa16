import LinuxCalls
import Machine
import MachineConfiguration
import MonitorAPI

/// Memory that is plugged while the machine runs, and files that are memory.
extension MachineOwner {
    func setLimits(ofPersistentMemory identifier: String, _ limits: RateLimits) throws(HostRefusal) {
        let machine = try running()
        do throws(LinuxError) { try machine.setLimits(ofPersistentMemory: identifier, limits) } catch {
            throw HostRefusal(error.originalWords)
        }
    }

    var balloonHints: (host: UInt32, guest: UInt32?)? { (try? running())?.balloonHints }

    func startBalloonHints(acknowledging: Bool) throws(HostRefusal) {
        guard try running().startBalloonHints(acknowledging: acknowledging) else { throw Self.noHints }
    }

    func stopBalloonHints() throws(HostRefusal) {
        guard try running().stopBalloonHints() else { throw Self.noHints }
    }

    private static let noHints = HostRefusal("The guest's driver does not serve the device, or does not hint.")

    var memory: (requested: UInt64, plugged: UInt64)? { (try? running())?.pluggedMebibytes }

    func requestMemory(mebibytes: UInt64) throws(HostRefusal) {
        guard try running().requestMemory(mebibytes: mebibytes) else {
            throw HostRefusal("The size must be a multiple of block_size_mib, and at most total_size_mib.")
        }
    }
}
