import LinuxCalls
import VirtioDevices

/// One virtio device in its window, and the thread that it has for itself, if any.
final class PlatformDevice {
    let transport: VirtioMMIOTransport
    private let ownLoop: EventLoop?
    private let atEnd: (() -> Void)?

    /// - Parameters:
    ///   - ownLoop: the device's loop when it is not the machine's; its thread is ended by `end`.
    ///   - atEnd: what else the device has to do at its end, on its loop's thread.
    init(_ transport: VirtioMMIOTransport, ownLoop: EventLoop? = nil, atEnd: (() -> Void)? = nil) {
        self.transport = transport
        self.ownLoop = ownLoop
        self.atEnd = atEnd
    }

    /// Stops serving for good: what was accepted is finished, nothing of the guest is touched any more.
    func end() {
        let device = transport.device
        device.loop.perform {
            device.reset()
            atEnd?()
        }
        ownLoop?.stop()
    }
}
