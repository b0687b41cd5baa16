public import LinuxCalls
public import SharedFolders
import VirtioQueues

/// A virtio file system device: a folder of the host, served by the requests of FUSE.
///
/// It has a thread of its own (its `loop`), so that a slow file system holds up no other device.
/// Source: virtio 1.3 §5.11.
public final class FileSystemDevice: VirtioDevice, EventHandler, @unchecked Sendable {
    /// Enough for a request of 1 MiB in pages, and its headers.
    private static let queueSize: UInt16 = 512
    /// One for what must not wait (it needs no answer), one for requests.
    private static let queueCount = 2

    public let loop: EventLoop
    public let metrics = FileSystemMetrics()

    private let configuration: FileSystemConfigurationSpace

    // Of the loop's thread.
    private let folder: FolderService
    private var workers = FileSystemWorkers()
    private var interrupt: InterruptLine?
    private var doorbells: [Doorbell] = []
    private var registrations: [EventRegistration] = []

    /// - Parameters:
    ///   - tag: the name by which the guest mounts it; its first 36 bytes count.
    ///   - folder: this device's alone.
    ///   - loop: of a thread that serves this device alone.
    public init(tag: String, _ folder: FolderService, loop: EventLoop) {
        configuration = FileSystemConfigurationSpace(tag: tag)
        self.folder = folder
        self.loop = loop
    }

    public var kind: VirtioDeviceKind { .fileSystem }
    public var maximumQueueSizes: [UInt16] { [Self.queueSize, Self.queueSize] }
    public var offeredFeatures: UInt64 { QueueFeatures.all }

    public func readConfiguration(offset: UInt32, width: UInt32) -> UInt32 {
        configuration.read(offset: offset, width: width)
    }

    public func writeConfiguration(offset: UInt32, width: UInt32, value: UInt32) {}

    public func activate(_ activation: DeviceActivation) throws(QueueError) {
        reset()
        for index in 0..<Self.queueCount {
            guard index < activation.queues.count, let driverQueue = activation.queues[index] else {
                throw .queueNotReady
            }
            let queue = try SplitQueue(
                validating: driverQueue.layout, memory: activation.memory, maximumSize: Self.queueSize,
                acceptedFeatures: activation.acceptedFeatures, position: driverQueue.position)
            workers.put(FileSystemWorker(queue: queue, metrics: metrics), at: index)
            doorbells.append(driverQueue.doorbell)
        }
        interrupt = activation.interrupt
        do throws(LinuxError) {
            for (index, doorbell) in doorbells.enumerated() {
                registrations.append(
                    try loop.add(
                        doorbell.event.descriptor.number, [.readable, .edgeTriggered], handler: self,
                        token: UInt32(index)))
            }
        } catch {
            metrics.hostErrors.add()
            throw .queueNotReady
        }
        for index in 0..<Self.queueCount { serve(index) }
    }

    public func reset() {
        for (registration, doorbell) in zip(registrations, doorbells) {
            loop.remove(registration, doorbell.event.descriptor.number)
        }
        registrations = []
        doorbells = []
        interrupt = nil
        workers = FileSystemWorkers()
        folder.reset()
    }

    /// Each request is answered in the turn that takes it.
    public func settle() {}

    public var queuePositions: [QueuePosition?] { (0..<Self.queueCount).map { workers.position($0) } }
    /// The files that the guest knows and has open are the host's; no snapshot can keep them.
    public var ownState: [UInt64]? { nil }
    public func restore(ownState: [UInt64]) throws(DeviceStateError) { throw .malformed }

    public func handleEvent(token: UInt32, readiness: Readiness) { serve(Int(token)) }

    private func serve(_ index: Int) {
        guard let interrupt, index < doorbells.count else { return }
        do throws(QueueError) {
            let hasMore = try workers.serve(index, folder, interrupt: interrupt)
            if hasMore { doorbells[index].event.signal() }
        } catch {
            // The driver broke its queue: nothing more until it resets the device.
            metrics.queueFaults.add()
            reset()
            interrupt.signalNeedsReset()
        }
    }
}
