import LegacyDevices
import LinuxCalls
import VirtioDevices

/// Standing still and going on. Of one thread at a time, which is neither a processor's nor a device's; after `run` has
/// begun.
extension Machine {
    /// Makes the guest stand still: its processors between two instructions, its devices with nothing at work. Guest
    /// memory does not change until `resume`. A machine that stands still already is left so.
    public func pause() {
        if isPaused { return }
        isPaused = true
        // First those that give work, then those that do it.
        for processor in processors { processor.holdStill() }
        for processor in processors { processor.waitUntilStill() }
        for device in devices { device.transport.pause() }
        loop.perform { [self] in
            serialPort?.flush()
            if let serialPort { loop.suspend(serialPort) }
            for watch in watches where watch is StandstillWatch { loop.suspend(watch) }
        }
    }

    /// Lets the guest go on. A machine that runs is left so.
    /// - Throws: when the kernel does not give a device its events back; the machine stands still as before.
    public func resume() throws(MachineError) {
        if !isPaused { return }
        var failure: LinuxError?
        loop.perform { [self] in
            do throws(LinuxError) {
                if let serialPort { try loop.resume(serialPort) }
                for watch in watches where watch is StandstillWatch { try loop.resume(watch) }
            } catch { failure = error }
        }
        do throws(LinuxError) {
            if let failure { throw failure }
            for device in devices { try device.transport.resume() }
        } catch { throw .system(doing: "resume the devices", error) }
        isPaused = false
        for processor in processors { processor.letRun() }
    }
}
