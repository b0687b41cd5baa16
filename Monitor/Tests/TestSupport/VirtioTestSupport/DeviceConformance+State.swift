import GuestMemory
import VirtioDevices
import VirtioQueues

/// Standing still, and going on in another device of the same kind.
extension DeviceConformance {
    func savedDevice(_ harness: DeviceHarness) throws {
        let steps: [(String, (DeviceHarness) -> Void)] = [
            ("reset", { $0.write(0x70, 0) }), ("ACKNOWLEDGE", { $0.write(0x70, 1) }), ("DRIVER", { $0.write(0x70, 3) }),
            ("FEATURES_OK", { $0.negotiate(QueueFeatures.version1) }), ("DRIVER_OK", { $0.start() }),
        ]
        for (name, step) in steps {
            step(harness)
            harness.serve()
            harness.transport.pause()
            harness.transport.pause()
            guard let state = try? harness.transport.save() else {
                return expect(harness.device.ownState == nil, "cannot be saved at \(name)")
            }
            let twin = try DeviceHarness(try makeDevice(), memory: harness.memory)
            expect((try? twin.transport.restore(state)) != nil, "cannot be restored at \(name)")
            expect(twin.status == harness.status, "has another status after a restore at \(name)")
            twin.transport.pause()
            // It may have something new to say of its own surroundings.
            var again = try? twin.transport.save()
            again?.configurationGeneration = state.configurationGeneration
            again?.pendingReasons = state.pendingReasons
            expect(again == state, "is another device after a restore at \(name)")
            twin.write(0x70, 0)
            try harness.transport.resume()
        }
        try servesNothingWhilePaused(harness)
        try refusesForeignStates(harness)
    }

    private func servesNothingWhilePaused(_ harness: DeviceHarness) throws {
        for queue in harness.device.maximumQueueSizes.indices {
            guard harness.start() else { return expect(false, "does not start") }
            harness.serve()
            harness.transport.pause()
            harness.drivers[queue].add([.raw(address: 0x1000, lengthBytes: 16, isDeviceWritable: true)])
            harness.notify(queue)
            expect(harness.drivers[queue].peekUsed() == nil, "queue \(queue) is served by a device that stands still")
            try harness.transport.resume()
            harness.serve()
        }
    }

    private func refusesForeignStates(_ harness: DeviceHarness) throws {
        guard harness.start() else { return expect(false, "does not start") }
        harness.transport.pause()
        guard let state = try? harness.transport.save() else { return expect(false, "cannot be saved") }
        try harness.transport.resume()
        let changes: [(String, (inout TransportState) -> Void)] = [
            ("another kind", { $0.kind = 77 }), ("features that are not offered", { $0.driverFeatures |= 1 << 63 }),
            ("no VIRTIO_F_VERSION_1", { $0.driverFeatures &= ~QueueFeatures.version1 }),
            ("a queue too many", { $0.queues.append(TransportState.Queue()) }), ("no queues", { $0.queues = [] }),
            ("a status out of order", { $0.status = 4 }), ("reasons that there are not", { $0.pendingReasons = 4 }),
            ("figures that it does not have", { $0.own += [1, 2, 3] }),
            ("chains in flight", { $0.queues[0].position.nextAvailable &+= 1 }),
        ]
        for (name, change) in changes {
            var changed = state
            change(&changed)
            let twin = try DeviceHarness(try makeDevice(), memory: harness.memory)
            expect((try? twin.transport.restore(changed)) == nil, "takes a state with \(name)")
            expect(twin.status == 0, "is not as after a reset when it has refused \(name)")
        }
        // Queues that are nowhere: as when a driver lays them out so.
        var changed = state
        for index in changed.queues.indices { changed.queues[index].usedRing = .max - 3 }
        let twin = try DeviceHarness(try makeDevice(), memory: harness.memory)
        _ = try? twin.transport.restore(changed)
        expect(twin.status & 0x40 != 0, "works with queues outside memory after a restore")
    }
}
