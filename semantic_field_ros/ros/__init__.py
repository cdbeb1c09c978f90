"""Where the map meets ROS 2: messages in, answers out.

The node is written once, against the small port in `graph.py`. Two implementations exist:
`rclpy_graph.py` where ROS 2 is sourced, `dds_graph.py` where it is not. This is the only room that
may import rclpy, tf2, message classes or DDS.

To add a message field: the `.msg` or `.srv` file, then `requests.py` or `answers.py`, which alone
turn queries and answers into messages and back (sensor data: `stream/messages.py` reads,
`messages.py` and `clouds.py` write). To add a service: the `.srv` file, its line in
CMakeLists.txt, a handler in `services.py`. To add another graph: implement `Graph`, name it in
`connect.py`, and the contract test in `test/ros/test_graph_contract.py` runs on it.
"""
