import LinuxCalls
import VirtioDevices

/// One virtio device in its window, and the thread that it has for itself, if any.
final class PlatformDevice {
    let transport: VirtioMMIOTransport
    private let ownLoop: EventLoop?

    /// - Parameter ownLoop: the device's loop when it is not the machine's; its thread is ended by `end`.
    init(_ transport: VirtioMMIOTransport, ownLoop: EventLoop? = nil) {
        self.transport = transport
        self.ownLoop = ownLoop
    }

    /// Stops serving for good: what was accepted is finished, nothing of the guest is touched any more.
    func end() {
        let device = transport.device
        device.loop.perform { device.reset() }
        ownLoop?.stop()
    }
}
